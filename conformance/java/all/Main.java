import java.util.Map;

/** Runs one scenario against a bootstrap address: {@code Main SCENARIO BOOTSTRAP PREFIX}. */
public final class Main {
    /** One scenario: does its work, returns what must be the same on every way to the cluster. */
    interface Scenario {
        Map<String, Object> run(Run run) throws Exception;
    }

    private Main() {}

    private static Scenario scenario(String name) throws Exception {
        switch (name) {
            case "acks_0":
                return run -> Produce.acks(run, "0");
            case "acks_1":
                return run -> Produce.acks(run, "1");
            case "acks_all":
                return run -> Produce.acks(run, "all");
            case "compression":
                return Produce::compression;
            case "idempotent":
                return Produce::idempotent;
            case "transactions":
                return Transactions::run;
            case "group_classic":
                return run -> Groups.run(run, "classic");
            case "group_consumer":
                return run -> Groups.run(run, "consumer");
            case "topics":
                return Topics::run;
            case "cluster":
                return ClusterView::run;
            case "restart":
                return Restart::run;
            case "share_group":
                // Only compiled where the clients have share consumers.
                return (Scenario) Class.forName("Shares").getDeclaredConstructor().newInstance();
            default:
                throw new IllegalArgumentException("no scenario " + name);
        }
    }

    public static void main(String[] args) {
        int exit = 1;
        try (Run run = new Run(args[1], args[2])) {
            run.report(scenario(args[0]).run(run));
            exit = 0;
        } catch (Throwable failure) {
            failure.printStackTrace();
            Run.reportFailure(failure);
        }
        // Threads that a client left behind must not keep the process alive.
        Runtime.getRuntime().halt(exit);
    }
}
