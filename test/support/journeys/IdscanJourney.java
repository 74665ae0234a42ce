import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

/** Uploads both sides of a document and retrieves the journey. Sends the token as header and as cookie, as testers do. */
class IdscanJourney {
  private static final String URL = "http://127.0.0.1:8080/idscanenterprisesvc";
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  public static void main(String[] args) throws Exception {
    var scanning = logIn("scanning");
    var front = upload(scanning, "{\"InputImages\":[{\"Name\":\"WhiteImage\",\"Data\":\"AA==\"}]}");
    var id = find("JourneyId", front);
    var back = upload(scanning, "{\"PersonEntryId\":\"" + id + "\",\"InputImages\":[]}");
    if (!find("JourneyId", back).equals(id)) throw new IllegalStateException("another journey");

    var request = HttpRequest.newBuilder(URI.create(URL + "/Journey/Get?JourneyID=" + id))
        .header("Cookie", "token=" + logIn("investigation") + "; csrftoken=x")
        .build();
    System.out.println(find("HighLevelResult", CLIENT.send(request, BodyHandlers.ofString()).body()));
  }

  private static String logIn(String area) throws Exception {
    var form = "grant_type=password&username=demo&password=demo-password&area=" + area;
    return find("access_token", post("/token", "application/x-www-form-urlencoded", "", form));
  }

  private static String upload(String token, String journey) throws Exception {
    return post("/journey/upload", "application/json", token, journey);
  }

  private static String post(String path, String type, String token, String body) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(URL + path)).header("Content-Type", type).POST(BodyPublishers.ofString(body));
    if (!token.isEmpty()) request.header("Authorization", token);
    return CLIENT.send(request.build(), BodyHandlers.ofString()).body();
  }

  private static String find(String name, String json) {
    var member = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
    if (!member.find()) throw new IllegalStateException("no " + name + " in " + json);
    return member.group(1);
  }
}
