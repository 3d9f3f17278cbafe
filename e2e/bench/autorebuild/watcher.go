package autorebuild

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// watcher is imagewatch as a process of this machine.
type watcher struct {
	cmd     *exec.Cmd
	log     *bytes.Buffer
	address string
	// toReady is from its start until it is ready.
	toReady time.Duration
}

// watch starts the watcher without bounds on builds, and waits until it is ready and leads.
func (s *site) watch(ctx context.Context, url string, args ...string) (*watcher, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	args = append([]string{
		"-kubeconfig=" + s.kubeconfig, "-namespace=" + s.name, "-event-listener-url=" + url, "-token-file=" + s.tokenFile(), "-listen=" + address,
		"-max-concurrent=0", "-rate=0", "-log-level=warn",
	}, args...)
	w := &watcher{cmd: exec.CommandContext(ctx, s.Imagewatch, args...), log: &bytes.Buffer{}, address: address}
	w.cmd.Stderr = w.log
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, "the watcher", func() (bool, error) { return w.get(ctx, "/readyz", nil) == nil, nil })
	w.toReady = time.Since(began)
	if err == nil {
		err = until(ctx, "the watcher's first plan", func() (bool, error) {
			m, err := w.metrics(ctx)
			return err == nil && m["planning_seconds_count"] > 0, nil
		})
	}
	if err != nil {
		w.stop()
		return nil, fmt.Errorf("%w: %s", err, w.log)
	}
	return w, nil
}

// stop ends it as a pod's end does, so that its lead is free for the next.
func (w *watcher) stop() {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	_ = w.cmd.Wait()
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// get asks the watcher, and hands the answer to read.
func (w *watcher) get(ctx context.Context, path string, read func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+path, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is %s", path, answer.Status)
	}
	if read == nil {
		return nil
	}
	return read(answer)
}

// metrics are the watcher's, without the prefix of their names: values, sums of labels, and _sum and _count of histograms.
func (w *watcher) metrics(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	err := w.get(ctx, "/metrics", func(answer *http.Response) error {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(answer.Body)
		if err != nil {
			return err
		}
		for name, family := range families {
			name = strings.TrimPrefix(name, "osbs_imagewatch_")
			for _, m := range family.GetMetric() {
				out[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
				if h := m.GetHistogram(); h != nil {
					out[name+"_sum"] += h.GetSampleSum()
					out[name+"_count"] += float64(h.GetSampleCount())
				}
			}
		}
		return nil
	})
	return out, err
}

// memory is what the process has in memory now, and has had at most, in bytes.
func (w *watcher) memory() (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kilobytes << 10
		case "VmHWM":
			peak = kilobytes << 10
		}
	}
	return now, peak, lines.Err()
}

// machineCPU is how long the machine's processors have worked since it started, in seconds.
func machineCPU() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks float64
	for i, field := range strings.Fields(line)[1:] {
		const idle, wait, guest = 3, 4, 8
		if value, err := strconv.ParseFloat(field, 64); err == nil && i != idle && i != wait && i < guest {
			ticks += value
		}
	}
	const perSecond = 100
	return ticks / perSecond, nil
}
