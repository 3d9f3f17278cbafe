package buildconfig

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Request is a rebuild that a person has asked for and that has not begun yet. A later request takes the place of an earlier one that
// nothing came of so far.
type Request struct {
	// Time tells it from other requests; it is not zero.
	Time time.Time `json:"time"`
	// User is who has asked.
	User string `json:"user"`
}

// maxUser bounds Request.User, in bytes.
const maxUser = 256

// String is the stored form: the time by RFC 3339, a space, and the user.
func (r Request) String() string { return r.Time.UTC().Format(time.RFC3339Nano) + " " + r.User }

// ParseRequest reads what String wrote. Its errors are failure.InvalidInput.
func ParseRequest(text string) (Request, error) {
	at, user, _ := strings.Cut(text, " ")
	when, err := time.Parse(time.RFC3339Nano, at)
	switch {
	case err != nil:
		return Request{}, failure.New(failure.InvalidInput, "%q: want a time by RFC 3339 and a user, as in %q", text, Request{Time: time.Unix(1e9, 0), User: "anne"})
	case when.Unix() <= 0:
		return Request{}, failure.New(failure.InvalidInput, "%q: the time is too early", text)
	}
	r := Request{Time: when.UTC(), User: user}
	return r, r.check()
}

func (r Request) check() error {
	if r.User == "" || len(r.User) > maxUser || strings.TrimSpace(r.User) != r.User || strings.ContainsFunc(r.User, unicode.IsControl) || !utf8.ValidString(r.User) {
		return failure.New(failure.InvalidInput, "user %q of a request: want a name of at most %d bytes", r.User, maxUser)
	}
	return nil
}

// SetPaused puts the autorebuilds of a build config off, or ends that, and says whether that is new. A name that there is none of is
// failure.NotFound.
func SetPaused(ctx context.Context, s Store, name string, paused bool) (changed bool, err error) {
	_, err = Change(ctx, s, name, func(bc *BuildConfig) error {
		changed = bc.Paused != paused
		bc.Paused = paused
		return nil
	})
	return changed, known(name, err)
}

// Ask notes in build configs, in this order, that a person asks for a rebuild. It is failure.Conflict if nothing would come of that
// because a build config is paused or its autorebuilds are off, and failure.NotFound if there is none of a name; none of them has the
// request then.
func Ask(ctx context.Context, s Store, names []string, r Request) error {
	if err := r.check(); err != nil {
		return err
	}
	for n, name := range names {
		if err := ask(ctx, s, name, r); err != nil {
			return errors.Join(err, Withdraw(context.WithoutCancel(ctx), s, names[:n], r.Time))
		}
	}
	return nil
}

func ask(ctx context.Context, s Store, name string, r Request) error {
	_, err := Change(ctx, s, name, func(bc *BuildConfig) error {
		if err := bc.Rebuildable(); err != nil {
			return err
		}
		bc.Requested = &r
		return nil
	})
	return known(name, err)
}

// Rebuildable is failure.Conflict, with what to do about it, if a person wants no autorebuilds of the build config, now or ever.
func (bc *BuildConfig) Rebuildable() error {
	switch {
	case bc.Disabled:
		return failure.WithHint(failure.New(failure.Conflict, "autorebuilds of build config %s are off: a person has set its annotation osbs.dev/autorebuild to disabled", bc.Name),
			"remove the annotation, or build it with osbs build")
	case bc.Paused:
		return failure.WithHint(failure.New(failure.Conflict, "build config %s is paused", bc.Name), "osbs resume-builds %s ends that", bc.Name)
	default:
		return nil
	}
}

// Withdraw takes a request that was made at that time away from the build configs that still have it.
func Withdraw(ctx context.Context, s Store, names []string, at time.Time) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, Answered(ctx, s, name, at))
	}
	return errors.Join(errs...)
}

// Answered takes the request away that was made at that time, and no other. That the build config is gone is no error.
func Answered(ctx context.Context, s Store, name string, at time.Time) error {
	_, err := Change(ctx, s, name, func(bc *BuildConfig) error {
		if bc.Requested == nil || !bc.Requested.Time.Equal(at) {
			return errNothing
		}
		bc.Requested = nil
		return nil
	})
	if errors.Is(err, errNothing) || failure.KindOf(err) == failure.NotFound {
		return nil
	}
	return err
}

// errNothing ends a Change that has nothing to change.
var errNothing = errors.New("nothing to change")

// known gives an error the place where names are found.
func known(name string, err error) error {
	if failure.KindOf(err) != failure.NotFound {
		return err
	}
	return failure.WithHint(failure.New(failure.NotFound, "there is no build config %q", name), "osbs list-build-configs lists them")
}
