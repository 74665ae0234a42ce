import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Tests a service in Java against Trimint, which `npx trimint` serves on a free port. Needs no library: run it with `java`. */
class OnboardingTest {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] words) throws Exception {
        Process trimint = new ProcessBuilder("npx", "--no-install", "trimint", "--port", "0")
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
        try {
            // The first line of the log contains the address.
            String line = trimint.inputReader().readLine();
            Matcher matcher = Pattern.compile("\"url\":\"([^\"]+)\"").matcher(String.valueOf(line));
            if (!matcher.find()) throw new AssertionError("no address in " + line);
            String url = matcher.group(1);

            expect("^[\\w-]+\\.[\\w-]+\\.[\\w-]+$", startFaceCheck(url, "demo-secret"));
            expect("\"access_token\":\"[\\w.-]+\"", logInScanner(url));
            expect("\"token\":\"[0-9a-f-]{36}\"", startRegistration(url, "jeff"));
            try {
                startFaceCheck(url, "wrong");
                throw new AssertionError("accepted a wrong secret");
            } catch (IOException refused) {
                expect("^status 401$", refused.getMessage());
            }
            System.out.println("passed");
        } finally {
            // npx starts Trimint as a child.
            trimint.descendants().forEach(ProcessHandle::destroy);
            trimint.destroy();
        }
    }

    static String startFaceCheck(String url, String secret) throws Exception {
        String credentials = Base64.getEncoder().encodeToString(("demo-app:" + secret).getBytes());
        return send(request(url + "/token?id=demo-app&bcid=bws.112.12345").header("Authorization", "Basic " + credentials));
    }

    static String logInScanner(String url) throws Exception {
        String form = "grant_type=password&username=demo&password=demo-password&area=scanning";
        return send(request(url + "/idscanenterprisesvc/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(HttpRequest.BodyPublishers.ofString(form)));
    }

    static String startRegistration(String url, String username) throws Exception {
        String body = "{\"context\": \"{\\\"username\\\": \\\"" + username + "\\\"}\", \"op\": \"Reg\"}";
        return send(request(url + "/nevisfido/token/create/registration")
            .header("Accept", "application/json")
            .header("Content-Type", "application/fido+uaf;charset=UTF-8")
            .POST(HttpRequest.BodyPublishers.ofString(body)));
    }

    static HttpRequest.Builder request(String url) {
        return HttpRequest.newBuilder(URI.create(url));
    }

    static String send(HttpRequest.Builder request) throws Exception {
        var response = CLIENT.send(request.build(), BodyHandlers.ofString());
        if (response.statusCode() / 100 != 2) throw new IOException("status " + response.statusCode());
        return response.body();
    }

    static void expect(String pattern, String actual) {
        if (!Pattern.compile(pattern).matcher(actual).find()) throw new AssertionError(actual + " does not match " + pattern);
    }
}
