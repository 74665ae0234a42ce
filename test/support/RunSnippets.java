import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;

/**
 * Compiles and runs the examples in the given files, each with a main method, one after the other. Prints a line for each: `ok`
 * or `failed`, and the base64 of what it printed. Starting Java and its compiler for each example would take seconds.
 */
class RunSnippets {
  public static void main(String[] files) throws Exception {
    var standardOutput = System.out;
    for (var file : files) {
      var printed = new ByteArrayOutputStream();
      System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
      var outcome = "ok";
      try {
        run(Path.of(file));
      } catch (InvocationTargetException failure) {
        outcome = "failed";
      }
      standardOutput.println(outcome + " " + Base64.getEncoder().encodeToString(printed.toByteArray()));
    }
  }

  private static void run(Path file) throws Exception {
    var folder = Files.createTempDirectory(file.toAbsolutePath().getParent(), "classes");
    var compiler = ToolProvider.getSystemJavaCompiler();
    if (compiler.run(null, null, null, "-d", folder.toString(), file.toString()) != 0) throw new IllegalStateException(file + " does not compile");
    var name = Pattern.compile("^class (\\w+)", Pattern.MULTILINE).matcher(Files.readString(file));
    if (!name.find()) throw new IllegalStateException(file + " has no class");
    try (var loader = new URLClassLoader(new URL[] { folder.toUri().toURL() })) {
      var main = loader.loadClass(name.group(1)).getDeclaredMethod("main", String[].class);
      main.setAccessible(true);
      main.invoke(null, (Object) new String[0]);
    }
  }
}
