package failure

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestKindOf(t *testing.T) {
	base := New(NotFound, "no branch %q", "main")
	for name, tc := range map[string]struct {
		err  error
		want Kind
		code int
	}{
		"nil":                  {nil, "", 1},
		"plain":                {errors.New("x"), Internal, 1},
		"kind":                 {base, NotFound, 4},
		"wrapped":              {fmt.Errorf("cloning: %w", base), NotFound, 4},
		"outermost kind wins":  {New(Unavailable, "git: %w", base), Unavailable, 7},
		"hint keeps kind":      {WithHint(base, "try %s", "master"), NotFound, 4},
		"cancelled context":    {fmt.Errorf("x: %w", context.Canceled), Cancelled, 143},
		"deadline":             {fmt.Errorf("x: %w", context.DeadlineExceeded), TimedOut, 12},
		"classified cancelled": {New(Conflict, "x: %w", context.Canceled), Conflict, 6},
	} {
		t.Run(name, func(t *testing.T) {
			if got := KindOf(tc.err); got != tc.want {
				t.Errorf("KindOf = %q, want %q", got, tc.want)
			}
			if got := tc.want.ExitCode(); got != tc.code {
				t.Errorf("ExitCode = %d, want %d", got, tc.code)
			}
		})
	}
	if WithHint(nil, "x") != nil {
		t.Error("WithHint(nil) is not nil")
	}
	if got, want := WithHint(base, "try it").Error(), "no branch \"main\"\nhint: try it"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestExitCodesAreDistinct(t *testing.T) {
	seen := map[int]Kind{}
	for k, c := range exitCodes {
		if other, ok := seen[c]; ok {
			t.Errorf("%s and %s share exit code %d", k, other, c)
		}
		seen[c] = k
	}
}

func TestKindOfExitCode(t *testing.T) {
	for kind, code := range exitCodes {
		if got := KindOfExitCode(code); got != kind {
			t.Errorf("KindOfExitCode(%d) = %q, want %q", code, got, kind)
		}
	}
	for code, want := range map[int]Kind{0: "", 130: Cancelled, 137: Internal, 255: Internal} {
		if got := KindOfExitCode(code); got != want {
			t.Errorf("KindOfExitCode(%d) = %q, want %q", code, got, want)
		}
	}
}
