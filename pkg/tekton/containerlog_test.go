package tekton

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kubelet is an API server whose connections break: a fault that a real one shows only by chance.
type kubelet struct {
	mu    sync.Mutex
	lines []string // each with its time
	// breaks are after how many bytes each connection ends; when they are used up, connections hold.
	breaks []int
	// fails is how often the pod cannot be read.
	fails int
	// unknown is how often the kubelet does not know a pod that there is, as one that has just started.
	unknown int
	gone    bool
	since   []string
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	forgotten := k.unknown > 0 && strings.HasSuffix(r.URL.Path, "/log")
	if forgotten {
		k.unknown--
	}
	if k.gone || forgotten {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"pods \"p\" not found"}`)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/log") {
		if k.fails > 0 {
			k.fails--
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		state := `{"running":{}}`
		if len(k.breaks) == 0 {
			state = `{"terminated":{"exitCode":0}}`
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"status":{"containerStatuses":[{"name":"step-build","state":%s}]}}`, state)
		return
	}
	text := k.from(r.URL.Query().Get("sinceTime"))
	if len(k.breaks) > 0 {
		if n := k.breaks[0]; n < len(text) {
			text = text[:n]
		}
		k.breaks = k.breaks[1:]
	}
	fmt.Fprint(w, text)
}

// from is the log from a time, of which the kubelet knows whole seconds only.
func (k *kubelet) from(since string) string {
	k.since = append(k.since, since)
	var out strings.Builder
	limit, _ := time.Parse(time.RFC3339, since)
	for _, line := range k.lines {
		stamp, _, _ := strings.Cut(line, " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && !at.Before(limit) {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

func (k *kubelet) instance(t *testing.T) *Instance {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return Open(Config{Namespace: "n", Kubernetes: client})
}

func TestContainerLogLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		k := &kubelet{fails: 1, unknown: 2}
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		var want []string
		for n := range 200 {
			if random.IntN(3) > 0 { // otherwise a line of the same time
				at = at.Add(time.Duration(random.IntN(900)) * time.Millisecond)
			}
			want = append(want, fmt.Sprintf("line %d", n))
			k.lines = append(k.lines, at.Format(time.RFC3339Nano)+" "+want[n])
		}
		for range 6 {
			k.breaks = append(k.breaks, random.IntN(3000))
		}
		var out bytes.Buffer
		c := &containerLog{instance: k.instance(t), pod: "p", container: "step-build", w: &out}
		if err := c.copy(t.Context(), true); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
			t.Fatalf("seed %d: lines lost or repeated (-want +got):\n%s", seed, diff)
		}
	}
}

func TestContainerLogOfPodThatIsGone(t *testing.T) {
	k := &kubelet{gone: true}
	c := &containerLog{instance: k.instance(t), pod: "p", container: "step-build", w: &bytes.Buffer{}}
	if err := c.copy(t.Context(), true); !errors.Is(err, errGone) {
		t.Errorf("error: %v", err)
	}
}

func TestContainerLogCutsLongLines(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	k := &kubelet{lines: []string{"2026-01-02T03:04:05.1Z " + long, "2026-01-02T03:04:05.2Z next"}}
	var out bytes.Buffer
	c := &containerLog{instance: k.instance(t), pod: "p", container: "step-build", w: &out}
	if err := c.copy(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(out.String(), "\n", ""); got != long+"next" || !strings.HasSuffix(out.String(), "\nnext\n") {
		t.Errorf("%d bytes, ending in %q", len(out.String()), out.String()[max(0, len(out.String())-10):])
	}
}
