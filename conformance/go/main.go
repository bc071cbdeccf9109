// Runs one scenario with franz-go: PROGRAM SCENARIO BOOTSTRAP PREFIX.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// For what hangs nevertheless: scenarios poll for states.
const patience = 120 * time.Second

type scenario func(*run) (map[string]any, error)

var scenarios = map[string]scenario{
	"group_classic":    group,
	"bad_certificates": badCertificates,
}

// What a scenario has: names, counters and the one line of JSON at the end.
type run struct {
	bootstrap []string
	prefix    string
	admin     *kadm.Client
	sent      int
	received  int
}

type report struct {
	Agree    map[string]any    `json:"agree"`
	Nodes    map[string]string `json:"nodes"`
	Sent     int               `json:"sent_bytes"`
	Received int               `json:"received_bytes"`
}

func (r *run) name(what string) string { return r.prefix + "-" + what }

// The tap attributes a connection by the part of its client id before the first dot.
func (r *run) client(role string, more ...kgo.Opt) (*kgo.Client, error) {
	tls, err := given()
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(r.bootstrap...),
		kgo.ClientID(r.prefix + "." + role),
		kgo.MetadataMinAge(time.Second),
		kgo.MetadataMaxAge(2 * time.Second),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if tls != nil {
		options = append(options, kgo.DialTLSConfig(tls))
	}
	return kgo.NewClient(append(options, more...)...)
}

// A topic whose leaders serve it.
func (r *run) topic(what string, partitions int32) (string, error) {
	topic := r.name(what)
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	made, err := r.admin.CreateTopic(within, partitions, 3, nil, topic)
	if err != nil {
		return "", err
	}
	for {
		ends, err := r.admin.ListEndOffsets(within, topic)
		if err == nil && ends.Error() == nil && len(ends[topic]) == int(partitions) {
			return made.Topic, nil
		}
		select {
		case <-within.Done():
			return "", fmt.Errorf("leaders of %s: %w", topic, within.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The addresses that this client has received, by node id.
func (r *run) nodes() (map[string]string, error) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	metadata, err := r.admin.BrokerMetadata(within)
	if err != nil {
		return nil, err
	}
	nodes := map[string]string{}
	for _, broker := range metadata.Brokers {
		nodes[fmt.Sprint(broker.NodeID)] = fmt.Sprintf("%s:%d", broker.Host, broker.Port)
	}
	return nodes, nil
}

func play(name, bootstrap, prefix string) (any, error) {
	scenario, is := scenarios[name]
	if !is {
		return nil, fmt.Errorf("no scenario %s", name)
	}
	r := &run{bootstrap: strings.Split(bootstrap, ","), prefix: prefix}
	client, err := r.client("admin")
	if err != nil {
		return nil, err
	}
	r.admin = kadm.NewClient(client)
	agree, err := scenario(r)
	if err != nil {
		return nil, err
	}
	nodes, err := r.nodes()
	return report{agree, nodes, r.sent, r.received}, err
}

func main() {
	said, err := play(os.Args[1], os.Args[2], os.Args[3])
	code := 0
	if err != nil {
		said, code = map[string]string{"error": err.Error()}, 1
	}
	line, err := json.Marshal(said)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	// Clients that are still open must not keep the process alive.
	os.Exit(code)
}
