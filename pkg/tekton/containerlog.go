package tekton

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// errGone says that a pod does not exist any more.
var errGone = errors.New("the pod is gone")

const (
	// maxLine bounds what is held of a line, in bytes; the rest of a longer one is a line of its own.
	maxLine = 64 << 10
)

// patience is how often the log of a container that has begun is asked for before it is given up: for about five minutes.
func patience() retry.Policy {
	return retry.Policy{Attempts: 66, First: 50 * time.Millisecond, Max: 5 * time.Second}
}

// containerLog copies the log of one container. The kubelet gives each line its time; after a connection that broke, the log is read
// again from the second of the last line, and the lines that have been copied are left out.
type containerLog struct {
	instance       *Instance
	pod, container string
	w              io.Writer

	// last is the time of the last line that was copied, and seen how many lines of that time were.
	last string
	seen int
}

// copy copies the log, with follow until the container has ended. A connection that breaks is made again.
func (c *containerLog) copy(ctx context.Context, follow bool) error {
	for {
		ended := false
		err := retry.Do(ctx, c.instance.conf.Log, patience(), "reading the log of pod "+c.pod, func(ctx context.Context) error {
			var err error
			if ended, err = c.ended(ctx); err != nil {
				return err
			}
			return c.stream(ctx, follow && !ended)
		})
		if err != nil || ended || !follow {
			return err
		}
		select { // the stream has ended, and the container has not, or not yet
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience().First):
		}
	}
}

// ended says whether the container has ended, after which its log is whole.
func (c *containerLog) ended(ctx context.Context) (bool, error) {
	pod, err := c.instance.conf.Kubernetes.CoreV1().Pods(c.instance.conf.Namespace).Get(ctx, c.pod, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, errGone
	}
	if err != nil {
		return false, classify("reading pod "+c.pod, err)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == c.container {
			return s.State.Terminated != nil, nil
		}
	}
	return false, nil
}

// stream copies what there is, or with follow what comes, after the last line that was copied.
func (c *containerLog) stream(ctx context.Context, follow bool) error {
	options := &corev1.PodLogOptions{Container: c.container, Follow: follow, Timestamps: true}
	if since, err := time.Parse(time.RFC3339Nano, c.last); err == nil {
		options.SinceTime = &metav1.Time{Time: since.Truncate(time.Second)}
	}
	body, err := c.instance.conf.Kubernetes.CoreV1().Pods(c.instance.conf.Namespace).GetLogs(c.pod, options).Stream(ctx)
	if apierrors.IsNotFound(err) { // a kubelet that has just started does not know its pods yet; whether this one is gone, the next look at it tells
		return retry.Temporary(classify("reading the log of pod "+c.pod, err))
	}
	if err != nil {
		return classify("reading the log of pod "+c.pod, err)
	}
	defer body.Close()
	return c.lines(body)
}

// lines copies the lines of r that have not been copied.
func (c *containerLog) lines(r io.Reader) error {
	reader := bufio.NewReaderSize(r, maxLine)
	same := 0 // lines of the time c.last that r has shown
	known := c.seen
	for begins := true; ; {
		line, err := reader.ReadSlice('\n')
		whole := len(line) > 0 && line[len(line)-1] == '\n'
		if len(line) > 0 && (whole || errors.Is(err, bufio.ErrBufferFull)) {
			text := line
			repeated := false
			if begins {
				stamp, rest, _ := bytes.Cut(line, []byte(" "))
				text = rest
				repeated = c.repeated(string(stamp), &same, known)
			}
			if !repeated {
				if err := c.write(text, whole); err != nil {
					return err
				}
			}
			begins = whole
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull), err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return classify("reading the log of pod "+c.pod, err) // the connection broke
		}
	}
}

// repeated says whether a line of that time was copied before, and counts it.
func (c *containerLog) repeated(stamp string, same *int, known int) bool {
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return false
	}
	last, err := time.Parse(time.RFC3339Nano, c.last)
	switch {
	case err == nil && at.Before(last):
		return true
	case err == nil && at.Equal(last) && *same < known:
		*same++
		return true
	case err == nil && at.Equal(last):
		c.seen++
	default:
		c.last, c.seen = stamp, 1
		*same = known // of an earlier time; no line of the new one was copied before
	}
	return false
}

func (c *containerLog) write(text []byte, whole bool) error {
	if !whole {
		text = append(bytes.Clone(text), '\n')
	}
	if _, err := c.w.Write(text); err != nil {
		return failure.New(failure.Storage, "writing the log: %w", err)
	}
	return nil
}
