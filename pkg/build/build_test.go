package build_test

import (
	"testing"
)

func TestBuild(t *testing.T) {
	l := newLab(t)
	b := l.mustBuild("FROM BASE\nCOPY hello /hello\nRUN cat /hello /etc/base > /both\nLABEL name=app version=1\nCMD [\"cat\", \"/both\"]\n",
		map[string]file{"hello": {content: "hello\n"}})
	t.Log(l.output.String())
	t.Logf("%+v", b.record)
	if got := b.text["/both"]; got != "hello\nbase\n" {
		t.Errorf("both = %q", got)
	}
}
