// Package step is the runtime that all step binaries share: flags with environment fall-backs, results as files, the termination
// message, logs, exit codes and signals. A step binary is a Spec and nothing else.
package step

import (
	"log/slog"

	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// Env is what every stage is given, by a step binary or by the local instance: where to tell what happens, what must not be told,
// and how often to try. It holds no context.
type Env struct {
	Log      *slog.Logger
	Redact   *redact.Set
	Progress progress.Reporter
	Retry    retry.Policy
}

// WithDefaults fills what is missing: no log, no progress, the default retry policy.
func (e Env) WithDefaults() Env {
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Redact == nil {
		e.Redact = &redact.Set{}
	}
	if e.Progress == nil {
		e.Progress = progress.Discard
	}
	if e.Retry.Attempts == 0 {
		e.Retry = retry.Default
	}
	return e
}
