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
            case "bad_certificates":
                return Tls::badCertificates;
            case "topics":
                return Topics::run;
            case "cluster":
                return ClusterView::run;
            case "restart":
            case "broker_killed":
            case "broker_stopped":
            case "broker_paused":
            case "leaders_move":
            case "broker_joins":
            case "doorkeeper_killed":
            case "doorkeeper_drained":
                return Flow::run;
            case "group_static":
                return StaticMembers::run;
            case "groups_admin":
                return GroupsAdmin::run;
            case "reassignments":
                return Reassignments::run;
            case "denied_principals":
                return DeniedPrincipals::run;
            case "denied":
                return Denied::run;
            case "follower_fetch":
                return FollowerFetch::run;
            case "large_records":
                return Sizes::largeRecords;
            case "many_partitions":
                return Sizes::manyPartitions;
            case "quota_throttle":
                return Throttled::run;
            case "many_topics":
                return Sizes::manyTopics;
            // Only compiled where the clients have such groups.
            case "share_group":
                return named("Shares");
            case "streams_classic":
                return named("Streams");
            case "streams_group":
                return named("StreamsGroup");
            default:
                throw new IllegalArgumentException("no scenario " + name);
        }
    }

    private static Scenario named(String name) throws Exception {
        return (Scenario) Class.forName(name).getDeclaredConstructor().newInstance();
    }

    /** What the suite itself changes at the cluster. */
    private static boolean change(String[] args, Run run) throws Exception {
        switch (args[0]) {
            case "place":
                Place.run(run, args[2], args[3], Integer.parseInt(args[4]));
                return true;
            case "quota":
                Throttled.grant(run, args[2]);
                return true;
            case "strict":
                Denied.leaveClusterToOthers(run);
                return true;
            case "unregister":
                Topics.get(run.admin.unregisterBroker(Integer.parseInt(args[2])).all());
                return true;
            default:
                return false;
        }
    }

    public static void main(String[] args) {
        int exit = 1;
        try (Run run = new Run(args[1], args[2])) {
            if (!change(args, run)) {
                run.report(scenario(args[0]).run(run));
            }
            exit = 0;
        } catch (Throwable failure) {
            failure.printStackTrace();
            Run.reportFailure(failure);
        }
        // Threads that a client left behind must not keep the process alive.
        Runtime.getRuntime().halt(exit);
    }
}
