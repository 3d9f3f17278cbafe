package lock

import (
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// failed runs the lock stage of a build that then fails, and returns the options of one that resumes it.
func failed(t *testing.T, change func(*Options)) Options {
	t.Helper()
	o := newOptions(t, base("base:latest", "base:latest", digestA))
	if change != nil {
		change(&o)
	}
	run(t, o)
	free(t, o)
	o.Resumes = o.Holder.Build
	o.Holder.Build, o.Holder.UID, o.Created = "app-2", "uid-2", epoch.Add(time.Hour)
	return o
}

func appConfig() string { return buildconfig.Name("https://git.example.com/team/app.git", "main") }

func free(t *testing.T, o Options) {
	t.Helper()
	if err := o.Locker.Release(t.Context(), appConfig(), o.Holder); err != nil {
		t.Fatal(err)
	}
}

// ends has a build end with an outcome, in the way that the build config is told.
func ends(t *testing.T, o Options, name string, outcome buildconfig.Outcome) {
	t.Helper()
	_, err := buildconfig.Change(t.Context(), o.BuildConfigs, appConfig(), func(bc *buildconfig.BuildConfig) error {
		bc.LastBuild = &buildconfig.LastBuild{Name: name, Outcome: outcome, Succeeded: bc.LastBuild.LastSucceeded()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAResumedBuildTakesTheLockOfTheOneThatFailed(t *testing.T) {
	t.Parallel()
	o := failed(t, nil)
	ends(t, o, "app-1", buildconfig.Failed)
	record := run(t, o)
	if record.Holder != "app-2" || record.Resumes != "app-1" || !record.Created.Equal(epoch) {
		t.Errorf("record %+v", record)
	}
	triggers := stored(t, o, record.BuildConfig).Triggers
	if len(triggers) != 1 || !triggers[0].LastTriggerTime.Equal(epoch) {
		t.Errorf("the bases count as read when the build was resumed: %+v", triggers)
	}
	if h, err := o.Locker.Holder(t.Context(), record.BuildConfig); err != nil || h == nil || h.Build != "app-2" {
		t.Errorf("holder %v, %v", h, err)
	}
	free(t, o) // it failed, too
	o.Holder.Build, o.Holder.UID = "app-3", "uid-3"
	if record := run(t, o); record.Holder != "app-3" || record.Resumes != "app-1" || !record.Created.Equal(epoch) {
		t.Errorf("record of the second try %+v", record)
	}
}

func TestABuildIsNotResumedAfterALaterOneHasSucceeded(t *testing.T) {
	t.Parallel()
	for name, later := range map[string][]buildconfig.Outcome{
		"a success": {buildconfig.Succeeded}, "no change": {buildconfig.Unchanged}, "a success and a failure": {buildconfig.Succeeded, buildconfig.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := failed(t, nil)
			for n, outcome := range later {
				ends(t, o, []string{"app-7", "app-8"}[n], outcome)
			}
			_, err := Run(t.Context(), o)
			wantKind(t, err, failure.Conflict)
			if err == nil || !strings.Contains(err.Error(), "build app-7 of ") {
				t.Errorf("%v does not name the build", err)
			}
			wantFree(t, o, appConfig())
			if record, err := workspace.Read[workspace.Lock](o.Workspace); err != nil || record.Holder != "app-1" {
				t.Errorf("the workspace has %+v, %v", record, err)
			}
		})
	}
}

func TestABuildIsResumedAfterOneThatSucceededBefore(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestA))
	run(t, o)
	free(t, o)
	ends(t, o, "app-0", buildconfig.Succeeded)
	run(t, o)
	free(t, o)
	ends(t, o, "app-1", buildconfig.Failed)
	o.Resumes, o.Holder.Build, o.Holder.UID = o.Holder.Build, "app-2", "uid-2"
	run(t, o)
}

func TestAThrowawayBuildIsResumedWhateverHasSucceeded(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*Options){"scratch": func(o *Options) { o.Scratch = true }, "isolated": func(o *Options) { o.Isolated = true }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOptions(t, base("base:latest", "base:latest", digestA))
			run(t, o)
			free(t, o)
			set(&o)
			run(t, o)
			free(t, o)
			ends(t, o, "app-7", buildconfig.Succeeded)
			o.Resumes, o.Holder.Build, o.Holder.UID = o.Holder.Build, "app-2", "uid-2"
			run(t, o)
		})
	}
}

// An autorebuild whose base has moved on is finished when a person asks for that; the rebuild from the new base comes after it.
func TestAnOutdatedAutorebuildIsResumed(t *testing.T) {
	t.Parallel()
	o := failed(t, nil)
	o.Autorebuild, o.BaseDigests = true, map[string]string{"base:latest": digestA}
	o.Streams = streams{digest: digestB}
	if record := run(t, o); record.State != "" {
		t.Errorf("record %+v", record)
	}
}

func TestTheWorkspaceOfAnotherBuildIsNotResumed(t *testing.T) {
	t.Parallel()
	o := failed(t, nil)
	o.Resumes = "app-9"
	_, err := Run(t.Context(), o)
	wantKind(t, err, failure.Conflict)
	wantFree(t, o, appConfig())
}
