package retry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

var quick = Policy{Attempts: 3, First: time.Millisecond, Max: 2 * time.Millisecond}

func TestDo(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		errs  []error
		calls int
		want  string
	}{
		"first try":       {[]error{nil}, 1, ""},
		"second try":      {[]error{Temporary(boom), nil}, 2, ""},
		"after a pause":   {[]error{After(boom, time.Millisecond), nil}, 2, ""},
		"permanent":       {[]error{boom}, 1, "doing it: boom"},
		"tries are spent": {[]error{Temporary(boom), Temporary(boom), Temporary(boom)}, 3, "doing it: after 3 tries: boom"},
		"spent on pauses": {[]error{After(boom, 1), After(boom, 1), After(boom, 1)}, 3, "doing it: after 3 tries: boom"},
		"then permanent":  {[]error{Temporary(boom), boom}, 2, "doing it: after 2 tries: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			err := Do(t.Context(), nil, quick, "doing it", func(context.Context) error { calls++; return tc.errs[calls-1] })
			if calls != tc.calls {
				t.Errorf("%d calls, want %d", calls, tc.calls)
			}
			if got := errText(err); got != tc.want {
				t.Errorf("error %q, want %q", got, tc.want)
			}
			if tc.want != "" && !errors.Is(err, boom) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDoStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := Do(ctx, nil, Policy{Attempts: 5, First: time.Hour, Max: time.Hour}, "doing it", func(context.Context) error {
		cancel()
		return Temporary(errors.New("boom"))
	})
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "doing it: ") {
		t.Errorf("error %v", err)
	}
}
