// Package cluster reaches a cluster: where its API server is, who logs in, which namespace is meant. Its client reads and writes
// objects of any type with errors that have kinds, and links none of the types that a program does not name.
package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

const (
	// requestTime bounds one request. An API server ends a usual one after a minute, and an import may take that long.
	requestTime = 70 * time.Second
	// maxAnswer bounds what is read of one answer, in bytes. An object has a few megabytes at most.
	maxAnswer = 64 << 20
	// perSecond and burst bound how many requests one program makes.
	perSecond, burst = 50, 100
)

// Client speaks to the API server about one namespace.
type Client struct {
	env       step.Env
	rest      *rest.RESTClient
	namespace string
}

// New returns a client for a cluster. It has not been spoken to yet.
func New(c *Config, env step.Env) (*Client, error) {
	config := rest.CopyConfig(c.REST)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // what errors are made of
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeJSON
	config.AcceptContentTypes = runtime.ContentTypeJSON
	config.QPS, config.Burst = perSecond, burst
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "osbs"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next} })
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", c.Origin, err)
	}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", c.Origin, err)
	}
	return &Client{env: env.WithDefaults(), rest: client, namespace: c.Namespace}, nil
}

// Namespace is the namespace whose objects are read and written.
func (c *Client) Namespace() string { return c.namespace }

// try makes a request once.
func (c *Client) try(ctx context.Context, request func(rest.Interface) *rest.Request) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	result := request(c.rest).MaxRetries(0).Do(limited)
	err := result.Error()
	var body []byte
	if err == nil {
		body, err = result.Raw()
	}
	return body, classify(ctx, err)
}

// ready says whether the API server has read all that it needs to answer.
func (c *Client) ready(ctx context.Context) bool {
	_, err := c.try(ctx, func(r rest.Interface) *rest.Request { return r.Get().AbsPath("/readyz") })
	return err == nil
}

// bounded ends answers that are too large.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = &boundedBody{ReadCloser: answer.Body, left: maxAnswer}
	}
	return answer, err
}

var errTooLarge = errors.New("the answer is too large")

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
