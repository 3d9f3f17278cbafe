package configparser

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	f, err := Parse("\ufeff# comment\r\n[general]\r\nURI = https://x ; kept\n  second line\nother: a=b\n\n[DEFAULT]\nhost=h\n[local] # after\nurl = http://%(host)s/%%d\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"general", "DEFAULT", "local"}, f.Order); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	general := f.Sections["general"]
	want := map[string]Entry{"uri": {"https://x ; kept\nsecond line", 3}, "other": {"a=b", 5}}
	if diff := cmp.Diff(want, general.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if got, err := f.Value(f.Sections["local"], "url"); err != nil || got != "http://h/%d" {
		t.Errorf("Value = %q, %v", got, err)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]Error{
		"key=1":                          {1, "key key belongs to no section: put it below a [section]"},
		"[a]\n[b\n":                      {2, `"[b" is no section: a section is written [name]`},
		"[a]\n[a]":                       {2, "section [a] is there twice, first in line 1"},
		"[a]\nx=1\nX=2":                  {3, "key x is there twice in [a], first in line 2"},
		"[a]\nwords":                     {2, `"words" is neither a section nor a setting: a setting is written key = value`},
		"[a]\n=1":                        {2, `there is no key before the "="`},
		"[a]\nx=\x00":                    {2, `the line has control characters: "x=\x00"`},
		"[a]\nx=\xff":                    {2, "the line is not UTF-8"},
		strings.Repeat("x", MaxLine+1):   {1, "the line is longer than 16384 bytes"},
		"[a]\nx=%(y)s\ny=%(x)s":          {2, "x: values refer to each other more than 10 deep"},
		"[a]\nx=%(nothing)s":             {2, "x: %(nothing)s refers to a key that is neither in [a] nor in [DEFAULT]; a plain % is written %%"},
		"[a]\n\tx=1\n\t\ty\n\t\n z\nw=2": {5, `"z" is neither a section nor a setting: a setting is written key = value`},
	} {
		f, err := Parse(text)
		if err == nil {
			_, err = f.Value(f.Sections["a"], "x")
		}
		var got *Error
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%.40q: %v, want line %d: %s", text, err, want.Line, want.Text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[a]\nx=1\n y\n", "[a]\nx=%(y)s%(y)s\ny=%(z)s%(z)s\nz=%%", "\ufeff[DEFAULT]\na:b", "[\n]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse(text)
		if err != nil {
			return
		}
		for _, name := range file.Order {
			s := file.Sections[name]
			for _, key := range s.Order {
				if value, err := file.Value(s, key); err == nil && len(value) > MaxValue+MaxLine {
					t.Errorf("a value of %d bytes", len(value))
				}
			}
		}
	})
}
