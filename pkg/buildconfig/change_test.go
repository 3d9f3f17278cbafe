package buildconfig_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// contested is a store in which somebody else is always faster.
type contested struct {
	buildconfig.Store
	tries int
}

func (c *contested) Get(context.Context, string) (*buildconfig.BuildConfig, error) {
	return &buildconfig.BuildConfig{}, nil
}

func (c *contested) Update(context.Context, *buildconfig.BuildConfig) (*buildconfig.BuildConfig, error) {
	c.tries++
	return nil, failure.New(failure.Conflict, "has changed")
}

func TestChangeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &contested{}
		_, err := buildconfig.Change(t.Context(), store, "app", func(*buildconfig.BuildConfig) error { return nil })
		if failure.KindOf(err) != failure.Conflict || store.tries != 40 {
			t.Errorf("after %d tries: %v", store.tries, err)
		}
	})
	boom := failure.New(failure.Conflict, "boom")
	_, err := buildconfig.Change(t.Context(), &contested{}, "app", func(*buildconfig.BuildConfig) error { return boom })
	if !errors.Is(err, boom) || err.Error() != "boom" {
		t.Errorf("got %v, want the error of change as it is", err)
	}
}
