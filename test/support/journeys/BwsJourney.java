import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.regex.Pattern;

/** Enrolls and verifies as the vendor's Android app does: claims from the token, a sample for each movement, as a data URL. */
class BwsJourney {
  private static final String URL = "http://127.0.0.1:8080/extension";
  private static final String APP = "Basic " + Base64.getEncoder().encodeToString("demo-app:demo-secret".getBytes());
  private static final String IMAGE = "data:image/png;base64,"
      + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  public static void main(String[] args) throws Exception {
    var enrolling = get("/token?id=demo-app&bcid=bws.112.21&task=enroll", APP);
    for (var i = 1; i <= 2; i++) upload(enrolling, "any", i);
    System.out.println(get("/enroll", "Bearer " + enrolling));

    var token = get("/token?id=demo-app&bcid=bws.112.21&task=verify&challenge=true", APP);
    var index = 1;
    upload(token, "", index++);
    for (var direction : firstChallenge(token)) upload(token, direction, index++);
    System.out.println(get("/verify", "Bearer " + token));
    System.out.println(get("/result?access_token=" + token, APP));
  }

  private static void upload(String token, String tag, int index) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(URL + "/upload?tag=" + tag + "&index=" + index + "&trait=Face,Periocular"))
        .header("Authorization", "Bearer " + token)
        .POST(BodyPublishers.ofString(IMAGE))
        .build();
    System.out.println(CLIENT.send(request, BodyHandlers.ofString()).body());
  }

  private static String get(String path, String authorization) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(URL + path)).header("Authorization", authorization).build();
    return CLIENT.send(request, BodyHandlers.ofString()).body();
  }

  private static List<String> firstChallenge(String token) {
    var claims = new String(Base64.getUrlDecoder().decode(token.split("\\.")[1]), StandardCharsets.UTF_8);
    var row = Pattern.compile("\"challenge\":\\[\\[([^\\]]*)\\]").matcher(claims);
    if (!row.find()) throw new IllegalStateException("no challenge");
    var directions = new ArrayList<String>();
    for (var direction : row.group(1).split(",")) directions.add(direction.replace("\"", ""));
    return directions;
  }
}
