package event

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// Type is the CloudEvents type. It is also the value of HeaderEventType, for the eventTypes of Triggers' github interceptor.
	Type = "dev.osbs.rebuild.v1"
	// HeaderSignature holds sha256= and the HMAC of the body in hex, which Triggers' github interceptor verifies.
	HeaderSignature = "X-Hub-Signature-256"
	// HeaderEventType holds Type, for that interceptor.
	HeaderEventType = "X-GitHub-Event"

	// headerTraceParent is that of CloudEvents' extension for distributed tracing.
	headerTraceParent = "Ce-Traceparent"

	specVersion     = "1.0"
	signaturePrefix = "sha256="
	contentType     = "application/json"
)

// NewRequest is the POST that sends the event, signed with the token. source names the sender, such as its namespace's path.
func NewRequest(ctx context.Context, url, source string, e Event, token []byte) (*http.Request, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, failure.New(failure.Internal, "encoding the event for %s: %w", e.BuildConfig, err)
	}
	if len(body) > MaxBody {
		return nil, failure.New(failure.InvalidInput, "the event for %s has %d bytes, the bound is %d", e.BuildConfig, len(body), MaxBody)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, failure.New(failure.Usage, "making a request to %s: %w", url, err)
	}
	for name, value := range map[string]string{
		"Content-Type": contentType, "Ce-Specversion": specVersion, "Ce-Type": Type, "Ce-Source": source, "Ce-Id": e.PipelineRunName,
		"Ce-Subject": e.BuildConfig, "Ce-Time": e.Time, HeaderEventType: Type, HeaderSignature: Sign(body, token),
	} {
		r.Header.Set(name, value)
	}
	if parent := regexp.MustCompile(traceParent).FindString(e.SpanContext); parent != "" {
		r.Header.Set(headerTraceParent, parent)
	}
	return r, nil
}

// Sign is the value of HeaderSignature for a body.
func Sign(body, token []byte) string {
	mac := hmac.New(sha256.New, token)
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// Verified says whether the signature is that of the body. An empty token verifies nothing.
func Verified(body []byte, signature string, token []byte) bool {
	return len(token) > 0 && hmac.Equal([]byte(signature), []byte(Sign(body, token)))
}

// Read is the receiving end: it returns the event of a request whose signature, size, type and members are right. Its errors are
// Unauthorized for the signature, and InvalidInput.
func Read(r *http.Request, token []byte) (Event, error) {
	if r.Header.Get("Ce-Type") != Type || r.Header.Get("Ce-Specversion") != specVersion {
		return Event{}, failure.New(failure.InvalidInput, "not a CloudEvent %s of the type %s", specVersion, Type)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return Event{}, failure.New(failure.Unavailable, "reading an event: %w", err)
	}
	if len(body) > MaxBody {
		return Event{}, failure.New(failure.InvalidInput, "an event has more than %d bytes", MaxBody)
	}
	if !Verified(body, r.Header.Get(HeaderSignature), token) {
		return Event{}, failure.New(failure.Unauthorized, "the signature of an event is missing or wrong")
	}
	return Parse(body)
}

// Parse reads and validates a body. Members that it does not know are an error: what they ask for would be left out of the build.
func Parse(body []byte) (Event, error) {
	var e Event
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(&e)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return Event{}, failure.New(failure.InvalidInput, "reading an event: %w", err)
	}
	return e, e.Validate()
}
