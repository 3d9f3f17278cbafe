// Package retry is the one policy by which this project tries again what a server or a network failed to do.
package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Policy bounds the tries. The zero value is Default.
type Policy struct {
	// Attempts is how often the operation is tried in all; 1 means no retry.
	Attempts int
	// First is the pause before the second try; it doubles, with jitter, up to Max.
	First, Max time.Duration
}

// Default rides out a restart of a server: seven tries over about half a minute.
var Default = Policy{Attempts: 7, First: 300 * time.Millisecond, Max: 12 * time.Second}

// MaxRetryAfter bounds how long a server may ask to be left alone.
const MaxRetryAfter = 2 * time.Minute

type temporary struct {
	err   error
	after time.Duration
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// Temporary marks err as worth another try.
func Temporary(err error) error {
	if err == nil {
		return nil
	}
	return &temporary{err: err}
}

// After marks err as worth another try, not before the pause that the server asked for (Retry-After).
func After(err error, pause time.Duration) error {
	if err == nil {
		return nil
	}
	return &temporary{err: err, after: min(pause, MaxRetryAfter)}
}

// IsTemporary says whether err was marked by Temporary or After.
func IsTemporary(err error) bool {
	var t *temporary
	return errors.As(err, &t)
}

// Do calls op until it succeeds, fails with an error that is not temporary, the attempts are spent or ctx ends. what names the
// operation in the log and in the error, such as `fetching manifest of x`.
func Do(ctx context.Context, log *slog.Logger, p Policy, what string, op func(context.Context) error) error {
	if p.Attempts == 0 {
		p = Default
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = p.First, p.Max, 2
	tries := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		tries++
		return struct{}{}, classify(op(ctx))
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(uint(p.Attempts)), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, pause time.Duration) {
			if log != nil {
				log.Warn("trying again", "what", what, "try", tries, "of", p.Attempts, "pause", pause.Round(time.Millisecond), "error", err)
			}
		}))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), ctx.Err()))
	case tries > 1:
		return fmt.Errorf("%s: after %d tries: %w", what, tries, unmark(err))
	default:
		return fmt.Errorf("%s: %w", what, unmark(err))
	}
}

// classify translates our marks into those of the backoff library.
func classify(err error) error {
	var t *temporary
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &t):
		return backoff.Permanent(err)
	case t.after > 0:
		return &waitError{err: err, after: &backoff.RetryAfterError{Duration: t.after}}
	default:
		return err
	}
}

// waitError is err for people and a RetryAfterError for the backoff library.
type waitError struct {
	err   error
	after *backoff.RetryAfterError
}

func (w *waitError) Error() string   { return w.err.Error() }
func (w *waitError) Unwrap() []error { return []error{w.after, w.err} }

func unmark(err error) error {
	var p *backoff.PermanentError
	if errors.As(err, &p) {
		return p.Err
	}
	var w *waitError
	if errors.As(err, &w) {
		return w.err
	}
	return err
}
