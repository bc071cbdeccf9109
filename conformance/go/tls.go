package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Files that TLS is used with.
type files struct {
	Ca          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// What the suite has given; nothing for plaintext.
func given() (*tls.Config, error) {
	text, is := os.LookupEnv("CONFORMANCE_TLS")
	if !is {
		return nil, nil
	}
	var files files
	if err := json.Unmarshal([]byte(text), &files); err != nil {
		return nil, err
	}
	return files.config()
}

func (f files) config() (*tls.Config, error) {
	ca, err := os.ReadFile(f.Ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca)
	if f.Key != "" {
		certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			return nil, err
		}
		// Also where its CA is none of those that the server asks for.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &certificate, nil
		}
	}
	return config, nil
}

// The error that each bad certificate ends in.
func badCertificates(r *run) (map[string]any, error) {
	var cases map[string]struct {
		Bootstrap string `json:"bootstrap"`
		Tls       files  `json:"tls"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("CONFORMANCE_CASES")), &cases); err != nil {
		return nil, err
	}
	failures := map[string]any{}
	for name, bad := range cases {
		config, err := bad.Tls.config()
		if err != nil {
			return nil, err
		}
		client, err := r.client(name, kgo.SeedBrokers(bad.Bootstrap),
			kgo.DialTLSConfig(config), kgo.RetryTimeout(0), kgo.RequestRetries(0))
		if err != nil {
			return nil, err
		}
		within, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		err = client.Ping(within)
		cancel()
		client.Close()
		if err == nil {
			return nil, fmt.Errorf("%s was let in", name)
		}
		fmt.Fprintln(os.Stderr, name, err)
		failures[name] = innermost(err)
	}
	return failures, nil
}

// The type of the error that all others are about.
func innermost(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op
	}
	return reflect.TypeOf(err).String()
}
