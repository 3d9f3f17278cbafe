package lock

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/process"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func build(name string, second int) entry {
	return entry{Holder: Holder{Build: name, UID: name, PID: 1}, Created: epoch.Add(time.Duration(second) * time.Second)}
}

func auto(name string, second int) entry {
	e := build(name, second)
	e.Autorebuild = true
	return e
}

func names(s *state) []string {
	var out []string
	if s.Holder != nil {
		out = append(out, "*"+s.Holder.Build)
	}
	for _, e := range s.Waiting {
		out = append(out, e.Build)
	}
	for _, e := range s.Superseded {
		out = append(out, "-"+e.Build+"<"+e.By)
	}
	return out
}

func TestQueue(t *testing.T) {
	t.Parallel()
	type step struct {
		entry  entry
		policy Policy
		want   result
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"free", []step{{build("a", 1), Fail, acquired}}, []string{"*a"}},
		{"again", []step{{build("a", 1), Fail, acquired}, {build("a", 1), Fail, acquired}}, []string{"*a"}},
		{"fail", []step{{build("a", 1), Fail, acquired}, {build("b", 2), Fail, refused}}, []string{"*a"}},
		{"fail does not pass those who wait", []step{
			{build("a", 1), Wait, acquired}, {build("b", 2), Wait, waiting}, {build("c", 0), Fail, refused},
		}, []string{"*a", "b"}},
		{"in order of creation, not of arrival", []step{
			{build("a", 1), Wait, acquired}, {build("late", 9), Wait, waiting}, {build("early", 2), Wait, waiting},
		}, []string{"*a", "early", "late"}},
		{"created at once: in order of arrival", []step{
			{build("a", 1), Wait, acquired}, {build("y", 2), Wait, waiting}, {build("x", 2), Wait, waiting},
		}, []string{"*a", "y", "x"}},
		{"a newer autorebuild supersedes those that wait, not the one that runs", []step{
			{auto("a", 1), Wait, acquired}, {auto("b", 2), Wait, waiting}, {auto("c", 3), Wait, waiting},
		}, []string{"*a", "c", "-b<c"}},
		{"the superseded one learns it once", []step{
			{auto("a", 1), Wait, acquired}, {auto("b", 2), Wait, waiting}, {auto("c", 3), Wait, waiting}, {auto("b", 2), Wait, replaced},
		}, []string{"*a", "c"}},
		{"an older autorebuild that arrives late is superseded at once", []step{
			{auto("a", 1), Wait, acquired}, {auto("c", 3), Wait, waiting}, {auto("b", 2), Wait, replaced},
		}, []string{"*a", "c"}},
		{"users' builds are not superseded and supersede nothing", []step{
			{build("a", 1), Wait, acquired}, {build("b", 2), Wait, waiting}, {auto("c", 3), Wait, waiting}, {build("d", 4), Wait, waiting},
			{auto("e", 5), Wait, waiting},
		}, []string{"*a", "b", "d", "e", "-c<e"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &state{}
			for i, step := range c.steps {
				if got, _ := s.try(step.entry, step.policy, epoch); got != step.want {
					t.Fatalf("step %d: got %v, want %v", i, got, step.want)
				}
			}
			if diff := cmp.Diff(c.want, names(s)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestQueueLeavesAndBuries(t *testing.T) {
	t.Parallel()
	s := &state{}
	for _, e := range []entry{build("a", 1), build("b", 2), auto("c", 3), auto("d", 4)} {
		e.Process.PID = int(e.Created.Unix() - epoch.Unix())
		s.try(e, Wait, epoch)
	}
	if s.leave("nobody") {
		t.Error("nobody left")
	}
	if !s.leave("b") || !s.leave("a") {
		t.Error("a and b did not leave")
	}
	if diff := cmp.Diff([]string{"d", "-c<d"}, names(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if res, _ := s.try(build("e", 0), Wait, epoch); res != acquired {
		t.Errorf("the oldest did not get the free lock: %v", res)
	}
	if !s.bury(func(p process.ID) bool { return p.PID == 4 }) || s.bury(func(p process.ID) bool { return p.PID == 4 }) {
		t.Error("bury does not say whether anything changed")
	}
	if diff := cmp.Diff([]string{"d"}, names(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBusyHasTheOriginalsTexts(t *testing.T) {
	t.Parallel()
	a, b, c := Holder{Build: "a"}, Holder{Build: "b"}, Holder{Build: "c"}
	for _, test := range []struct {
		running *Holder
		waiting []Holder
		want    string
	}{
		{&a, nil, "Build a for app in state Running, can't proceed."},
		{nil, []Holder{b}, "Build b for app in state Pending, can't proceed."},
		{&a, []Holder{b, c}, "Multiple builds for app running, can't proceed: a, b, c"},
	} {
		if got := busy("app", test.running, test.waiting).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
