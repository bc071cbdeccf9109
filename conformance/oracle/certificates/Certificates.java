import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;

import javax.security.auth.x500.X500Principal;

import org.apache.kafka.common.security.ssl.SslPrincipalMapper;

/**
 * Writes what Java makes of distinguished names, and what Kafka's own mapper makes of rules: the
 * files in {@code testdata/certificates}. Run with the clients' jar of Kafka:
 *
 * <pre>java -cp kafka-clients.jar Certificates.java testdata/certificates</pre>
 */
public final class Certificates {
    private static final Random RANDOM = new Random(1);

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[0]);
        Files.createDirectories(folder);
        String origin = "# Written by conformance/oracle/certificates with Java "
            + System.getProperty("java.version") + ".\n";
        try (PrintStream out = new PrintStream(folder.resolve("distinguished_names.txt").toFile(), UTF_8)) {
            out.print("# The DER of a name, and what X500Principal.getName() makes of it.\n" + origin);
            names(out);
        }
        try (PrintStream out = new PrintStream(folder.resolve("mapping_rules.txt").toFile(), UTF_8)) {
            out.print("# Rules, a name, and what SslPrincipalMapper makes of it: a name, null where no rule\n"
                + "# matches, or false where it throws.\n" + origin);
            rules(out);
        }
    }

    private static final java.nio.charset.Charset UTF_8 = StandardCharsets.UTF_8;

    // Names.

    private static final String[] KINDS = {
        "550403", "550406", "550407", "550408", "550409", "55040a", "55040b", "0992268993f22c640101",
        "0992268993f22c640119", "2a864886f70d010901", "550405", "550404", "55042a", "883703", "7f", "00",
        "82b97e05", "550403", "55040b",
    };
    private static final int[] TAGS = {0x0c, 0x0c, 0x0c, 0x13, 0x14, 0x16, 0x1b, 0x1c, 0x1e, 0x12, 0x1a, 0x02, 0x04};
    private static final String[] PIECES = {
        "a", "b", "Z", "9", " ", "  ", ",", "=", "+", "<", ">", "#", ";", "\"", "\\", "\r", "\n", "\0", "\u0001",
        "\u007f", "\u00e9", "\u00df", "\u2028", "\ud83d\ude00", "'", "(", ")", "-", ".", "/", ":", "?", "@", "*",
        "alice", "kafka.example.com",
    };

    private static void names(PrintStream out) {
        name(out);
        for (String kind : KINDS) {
            for (int tag : TAGS) {
                name(out, part(attribute(kind, tag, "value".getBytes(UTF_8))));
            }
        }
        for (String piece : PIECES) {
            for (String text : List.of(piece, piece + "x", "x" + piece, "x" + piece + "y", piece + "x" + piece)) {
                name(out, part(attribute("550403", 0x0c, text.getBytes(UTF_8))));
            }
        }
        for (String hex : List.of("", "ff", "61ff62", "e9", "c3", "c3a9c3", "f09f98", "eda080", "c080", "f8888080",
            "f4908080", "e28061", "00610062")) {
            for (int tag : new int[] {0x0c, 0x13, 0x14, 0x1e}) {
                name(out, part(attribute("550403", tag, HexFormat.of().parseHex(hex))));
            }
        }
        name(out, part(attribute("550403", 0x0c, "x".repeat(130).getBytes(UTF_8))));
        name(out, part(attribute("550403", 0x0c, "x".repeat(300).getBytes(UTF_8))));
        name(out, part(attribute("2a864886f70d010901", 0x16, "x".repeat(300).getBytes(UTF_8))));
        for (int count = 0; count < 400; count++) {
            byte[][] parts = new byte[1 + RANDOM.nextInt(4)][];
            for (int i = 0; i < parts.length; i++) {
                byte[][] attributes = new byte[RANDOM.nextInt(4) == 0 ? 1 + RANDOM.nextInt(3) : 1][];
                for (int j = 0; j < attributes.length; j++) {
                    attributes[j] = attribute(one(KINDS), TAGS[RANDOM.nextInt(TAGS.length)], text().getBytes(UTF_8));
                }
                parts[i] = part(attributes);
            }
            name(out, parts);
        }
    }

    private static String text() {
        StringBuilder text = new StringBuilder();
        for (int left = RANDOM.nextInt(8); left > 0; left--) {
            text.append(one(PIECES));
        }
        return text.toString();
    }

    private static void name(PrintStream out, byte[]... parts) {
        byte[] der = element(0x30, parts);
        String text;
        try {
            text = new X500Principal(der).getName();
        } catch (IllegalArgumentException notAName) {
            return;
        }
        out.println(HexFormat.of().formatHex(der) + "\t" + quoted(text));
    }

    private static byte[] part(byte[]... attributes) {
        return element(0x31, attributes);
    }

    private static byte[] attribute(String kind, int tag, byte[] value) {
        return element(0x30, element(0x06, HexFormat.of().parseHex(kind)), element(tag, value));
    }

    private static byte[] element(int tag, byte[]... contents) {
        ByteArrayOutputStream inner = new ByteArrayOutputStream();
        for (byte[] one : contents) {
            inner.writeBytes(one);
        }
        int length = inner.size();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(tag);
        if (length >= 0x100) {
            out.write(0x82);
            out.write(length >> 8);
        } else if (length >= 0x80) {
            out.write(0x81);
        }
        out.write(length);
        out.writeBytes(inner.toByteArray());
        return out.toByteArray();
    }

    // Rules.

    private static final String[] SUBJECTS = {
        "CN=alice", "CN=alice,OU=eng,O=acme", "CN=Alice Smith,OU=ops,OU=eng,O=Acme\\, Inc.,C=DE", "OU=x,CN=bob", "",
        "CN=kafka.example.com,ST=Berlin", "1.2.840.113549.1.9.1=#1603614062,CN=a", "CN=\u00c9t\u00e9\u00df,O=\u03a3\u03a3",
        "CN=$1", "CN=a/b", "CN=aaa,O=bbb", "UID=u1+CN=c1,DC=example,DC=com",
    };
    /** As operators write them, each form once, and what is wrong with them. */
    private static final String[] RULES = {
        "DEFAULT", "", " ", ",", "DEFAULT,", ",DEFAULT", " DEFAULT , DEFAULT ", "DEFAULTX", "default", "xDEFAULT",
        "RULE:^CN=(.*?),OU=.*$/$1/,DEFAULT", "RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1@$2/L",
        "RULE:^CN=([^,]+).*$/$1/L, DEFAULT", "RULE:^CN=([^,]+).*$/$1/U", "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L",
        "RULE:CN=(.*)/$1/", "RULE:(.*)/x$1/", "RULE:.*/x/", "RULE:(.*?)/[$1]/", "RULE:CN=(.*?)/$1/", "RULE:.*?/-/",
        "RULE:^CN=(.*)$/$2/", "RULE:^CN=(.*)$/$2@$3/", "RULE:^CN=(.*)$/$12/", "RULE:^CN=(.*)$/$0/",
        "RULE:^CN=(.*)$/$01/", "RULE:^CN=.*$/$1/", "RULE:^CN=.*$/$0/", "RULE:^CN=(.*)$/a$/", "RULE:^CN=(.*)$/$a/",
        "RULE:^CN=(.*)$/\\$1/", "RULE:^CN=(.*)$/\\$4/", "RULE:^CN=(.*)$/\\\\$1/", "RULE:^CN=(.*)$/\\a\\/b/",
        "RULE:^CN=(.*)$/$99999999999/", "RULE:^CN=(?<name>.*)$/${name}/", "RULE:^CN=(?<name>.*)$/${other}/",
        "RULE:^CN=(?<name>.*)$/${name/", "RULE:^CN=(?<name>.*)$/${}/", "RULE:^CN=(?<name>.*)$/${1}/",
        "RULE:^CN=(.*)$/$1/LU", "RULE:^CN=(.*)$/$1/X", "RULE:^CN=(.*)$/$1/l", "RULE:^CN=(.*)$/$1/L x",
        "RULE:^CN=(.*)$/$1", "RULE:^CN=(.*)$", "RULE:", "RULE://", "RULE:///", "RULE:a//", "RULE:/b/", "RULE:a/b/c/",
        "RULE:CN=a\\/b/ok/", "RULE:CN=a/b/ok/", "RULE:^CN=a.b$/$0/", "RULE:[/]/x/", "RULE:CN=a[\\/]b/x/",
        "RULE:^CN=(.*)$/$1/ , RULE:.*/other/", "RULE:^CN=(a,b|.*)$/$1,x/,DEFAULT", "RULE:a/b/,,DEFAULT",
        "RULE:(/x/", "RULE:)/x/", "RULE:[a/x/", "RULE:a**/x/", "RULE:*/x/", "RULE:a{/x/", "RULE:a{2,1}/x/",
        "RULE:a{1,2/x/", "RULE:\\q/x/", "RULE:.*\\Q.\\E.*/x/", "RULE:.*\\Q.\\E/x/", "RULE:\\QCN=\\E.*/x/",
        "RULE:\\QCN=al\\E+ice/x/", "RULE:(?i)cn=ALICE/x/", "RULE:(?i:cn)=alice/x/", "RULE:(?i:cn)=ALICE/x/",
        "RULE:((?i)cn)=ALICE/x/", "RULE:((?i)cn|x)=alice.*/x/", "RULE:(?i)[a-c]N=.*/x/", "RULE:(?i)[^a-c]N=.*/x/",
        "RULE:(?i)CN=\u00e9.*/x/", "RULE:(?s)CN=(?-s).*/x/", "RULE:(?q)a/x/", "RULE:[]C]N=.*/x/",
        "RULE:[^]]N=.*/x/", "RULE:[C-]N=.*/x/", "RULE:[-C]N=.*/x/", "RULE:[A-C-E]N=.*/x/", "RULE:[Z-A]N=.*/x/",
        "RULE:[\\w-=]+.*/x/", "RULE:[\\w&=]+.*/x/", "RULE:[^\\W]+=.*/x/", "RULE:[\\W]+=.*/x/", "RULE:\\w+=\\S*/x/",
        "RULE:\\w+=[\\D]*/x/", "RULE:\\p{Upper}+=.*/x/", "RULE:\\P{Lower}+=.*/x/", "RULE:[\\p{Alpha}=]+/x/",
        "RULE:\\x43\\u004e\\x{3d}.*/x/", "RULE:CN=.\\t*.*/x/", "RULE:CN=a}*.*/x/", "RULE:CN=a]*.*/x/",
        "RULE:\\ACN=.*\\z/x/", "RULE:\\ACN=.*\\Z/x/", "RULE:CN=^.*/x/", "RULE:(^CN|O)=(.*)$/$1:$2/",
        "RULE:(a)|(.*)/<$1$2>/", "RULE:(CN=)?(.*)/<$1$2>/", "RULE:CN=(?:(a)|(.))*/<$1$2>/",
        "RULE:.*CN=([^,+]+).*/$1/,RULE:.*UID=([^,+]+).*/$1/", "RULE:(.*),?(.*)/$2$1/U", "RULE:^(?!CN=a).*$/x/",
        "RULE:(.)\\1.*/x/", "RULE:.*+/x/", "RULE:\\bCN.*/x/", "RULE:[a-z&&[^b]]*/x/", "RULE:[a[b]]*/x/",
    };

    private static void rules(PrintStream out) {
        for (String rules : RULES) {
            for (String subject : SUBJECTS) {
                rule(out, rules, subject);
            }
        }
        for (int count = 0; count < 2500; count++) {
            String pattern = RANDOM.nextInt(3) == 0 ? alternatives(3) : "^" + alternatives(3) + "$";
            StringBuilder subject = new StringBuilder();
            for (int left = RANDOM.nextInt(6); left > 0; left--) {
                subject.append(one("a", "b", "ab", ",", "=", "A"));
            }
            String replacement = one("$1", "<$1>", "$1$2", "[$0]", "$2-$1", "x", "", "$3", "$10", "\\$1$1");
            rule(out, "RULE:" + pattern + "/" + replacement + "/" + one("", "", "L", "U"), subject.toString());
        }
    }

    private static String alternatives(int depth) {
        StringBuilder text = new StringBuilder(sequence(depth));
        while (RANDOM.nextInt(3) == 0) {
            text.append('|').append(sequence(depth));
        }
        return text.toString();
    }

    private static String sequence(int depth) {
        StringBuilder text = new StringBuilder();
        for (int left = RANDOM.nextInt(4); left > 0; left--) {
            if (RANDOM.nextInt(12) == 0) {
                text.append(one("^", "$", "^?"));
            } else if (depth == 0 || RANDOM.nextInt(3) > 0) {
                text.append(one("a", "b", ",", "=", ".", "[ab]", "[^a]", "\\w", "\\W", "(?i:a)", "[A-a]"));
                text.append(one("", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?"));
            } else {
                // Most groups that can match nothing are not repeated: what they hold differs.
                String group = one("(", "(", "(?:", "(?i:");
                text.append(group).append(alternatives(depth - 1)).append(")");
                text.append(one("", "", "", "", "?", "??", "?", "+", "*"));
            }
        }
        return text.toString();
    }

    private static void rule(PrintStream out, String rules, String subject) {
        String result;
        try {
            result = quoted(SslPrincipalMapper.fromRules(rules).getName(subject));
        } catch (IOException noMatchingRule) {
            result = "null";
        } catch (RuntimeException thrown) {
            result = "false";
        }
        out.println("[" + quoted(rules) + "," + quoted(subject) + "," + result + "]");
    }

    private static String one(String... all) {
        return all[RANDOM.nextInt(all.length)];
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20 || c > 0x7e) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }
}
