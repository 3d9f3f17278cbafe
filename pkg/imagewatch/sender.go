package imagewatch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
	"github.com/osbs-tekton/osbs/pkg/tracing"
)

const (
	// postTimeout bounds one request to the EventListener.
	postTimeout = 20 * time.Second
	// maxToken bounds the token file, in bytes.
	maxToken = 4 << 10
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 2 << 10
)

// errChanged says that the build config is another one than the plan was made from: the plan has to be made again.
var errChanged = errors.New("the build config has changed meanwhile")

// refused is an answer that says no other event would be taken either: the EventListener is down, full, or not set up.
type refused struct{ error }

// send asks for one build. It looks at the build config and the bases first: a cache that is behind could ask for what was built already.
func (w *watcher) send(ctx context.Context, k *situation.Config, d *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	now, err := w.clients.Kube.CoreV1().ConfigMaps(w.o.Namespace).Get(ctx, k.BuildConfig.Name, metav1.GetOptions{})
	if err != nil {
		return &refused{failure.New(failure.Unavailable, "reading build config %s: %w", k.BuildConfig.Name, err)}
	}
	if now.ResourceVersion != k.Object.ResourceVersion || now.UID != k.Object.UID {
		return errChanged
	}
	if err := w.checkBases(ctx, d.item); err != nil {
		return err
	}
	token, err := readToken(w.o.TokenFile)
	if err != nil {
		return &refused{err}
	}
	e := event.New(k.BuildConfig, d.item, time.Now())
	e.SpanContext = tracing.SpanContext(ctx)
	request, err := event.NewRequest(ctx, w.o.URL, "/namespaces/"+w.o.Namespace+"/imagewatch", e, token)
	if err != nil {
		return err
	}
	answer, err := w.http.Do(request)
	if err != nil {
		return &refused{failure.New(failure.Unavailable, "sending an event: %w", err)}
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 == 2 {
		return nil
	}
	err = failure.New(failure.Unavailable, "the EventListener answered %s: %s", answer.Status, bytes.TrimSpace(body))
	if answer.StatusCode == http.StatusBadRequest || answer.StatusCode == http.StatusRequestEntityTooLarge {
		return err
	}
	return &refused{err}
}

// checkBases says whether all tags are still what the plan saw: also those that had not moved, since one build may do for two that have.
func (w *watcher) checkBases(ctx context.Context, item rebuild.Item) error {
	for _, base := range slices.Sorted(maps.Keys(item.Digests)) {
		namespace, name, tag := w.locate(base)
		stream, err := w.clients.Image.ImageV1().ImageStreams(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return errChanged
		case err != nil:
			return &refused{failure.New(failure.Unavailable, "reading ImageStream %s/%s: %w", namespace, name, err)}
		case imageimport.Current(stream, tag) != item.Digests[base]:
			return errChanged
		}
	}
	return nil
}

// locate is where the tag of a base is, name:tag or namespace/name:tag.
func (w *watcher) locate(base string) (namespace, name, tag string) {
	namespace, name, found := strings.Cut(base, "/")
	if !found {
		namespace, name = w.o.Namespace, base
	}
	name, tag, _ = strings.Cut(name, ":")
	return namespace, name, tag
}

// readToken reads the token at each event, so that one that was renewed is used. All bytes count, as they do for the EventListener.
func readToken(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure.New(failure.Unauthorized, "the file with the token that signs events does not exist: %s", file)
	}
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "reading the token that signs events: %w", err)
	}
	defer f.Close()
	token, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "reading the token that signs events: %w", err)
	}
	if len(token) == 0 {
		return nil, failure.New(failure.Unauthorized, "the file with the token that signs events is empty: %s", file)
	}
	return token, nil
}
