package tracing

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// client sends spans by OTLP over HTTP. OpenTelemetry's own client for that links all of gRPC, which makes a program twice as large.
type client struct {
	url      string
	headers  http.Header
	timeout  time.Duration
	compress bool
	http     *http.Client
}

const (
	// defaultEndpoint and defaultTimeout are those of the specification.
	defaultEndpoint = "http://localhost:4318"
	defaultTimeout  = 10 * time.Second
	tracesPath      = "/v1/traces"
	// maxCertificates bounds the file of certificates, and maxAnswer what is read of an answer, in bytes.
	maxCertificates = 4 << 20
	maxAnswer       = 1 << 10
)

// patience is for a collector that is being restarted; spans wait for it in a queue that has an end.
var patience = retry.Policy{Attempts: 4, First: time.Second, Max: 5 * time.Second}

// newClient reads what the environment says of the exporter. What cannot be is Usage.
func newClient() (*client, error) {
	c := &client{headers: http.Header{"Content-Type": {"application/x-protobuf"}}, timeout: defaultTimeout}
	var err error
	if c.url, err = endpoint(); err != nil {
		return nil, err
	}
	if err := c.readHeaders(); err != nil {
		return nil, err
	}
	if name, text := setting("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, failure.New(failure.Usage, "%s %.40q is not a number of milliseconds", name, text)
		}
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	switch name, text := setting("COMPRESSION"); text {
	case "", "none":
	case "gzip":
		c.compress = true
		c.headers.Set("Content-Encoding", "gzip")
	default:
		return nil, failure.New(failure.Usage, "%s %.40q: accepted are gzip and none", name, text)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	if name, file := setting("CERTIFICATE"); file != "" {
		if transport.TLSClientConfig, err = trusting(name, file); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// readHeaders reads NAME=VALUE, separated by commas. Values may be secret, and are in no error.
func (c *client) readHeaders() error {
	name, text := setting("HEADERS")
	if text == "" {
		return nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !found || key == "" || err != nil {
			return failure.New(failure.Usage, "%s is not NAME=VALUE, separated by commas", name)
		}
		c.headers.Set(key, value)
	}
	return nil
}

// setting is an environment variable of the exporter, of traces or of everything, and its name.
func setting(what string) (name, value string) {
	traces, all := "OTEL_EXPORTER_OTLP_TRACES_"+what, "OTEL_EXPORTER_OTLP_"+what
	if value = os.Getenv(traces); value != "" {
		return traces, value
	}
	return all, os.Getenv(all)
}

// endpoint is where spans are sent to.
func endpoint() (string, error) {
	name, text := setting("ENDPOINT")
	u, err := url.Parse(cmp.Or(text, defaultEndpoint))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", failure.WithHint(failure.New(failure.Usage, "%s is no URL that traces can be sent to", name), "such as http://collector.observability.svc:4318")
	}
	if name != envTracesEndpoint {
		u = u.JoinPath(tracesPath)
	}
	return u.String(), nil
}

// trusting trusts the certificates of a file besides the system's.
func trusting(name, file string) (*tls.Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCertificates))
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", name, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, failure.New(failure.Usage, "%s: %s has no PEM certificate", name, file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// Start implements otlptrace.Client.
func (c *client) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. On the wire, TracesData is what the collector's request is.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return failure.New(failure.Internal, "encoding spans: %w", err)
	}
	if c.compress {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err = w.Write(body); err == nil {
			err = w.Close()
		}
		if err != nil {
			return failure.New(failure.Internal, "compressing spans: %w", err)
		}
		body = b.Bytes()
	}
	return retry.Do(ctx, nil, patience, "sending traces", func(ctx context.Context) error { return c.post(ctx, body) })
}

func (c *client) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return failure.New(failure.Usage, "sending traces: %w", err)
	}
	request.Header = c.headers.Clone()
	answer, err := c.http.Do(request)
	if err != nil {
		return retry.Temporary(failure.New(failure.Unavailable, "sending traces: %w", err))
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 == 2 {
		return nil
	}
	err = failure.New(failure.Unavailable, "the collector of traces answered %s: %q", answer.Status, bytes.TrimSpace(text))
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return retry.Temporary(err)
	default:
		return err
	}
}
