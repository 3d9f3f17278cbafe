package dockerfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBases(t *testing.T) {
	amd64 := Options{Platform: "linux/amd64", BuildPlatform: "linux/arm64"}
	with := func(target string, args ...string) Options {
		o := amd64
		o.Target, o.BuildArgs = target, map[string]string{}
		for _, a := range args {
			name, value, _ := strings.Cut(a, "=")
			o.BuildArgs[name] = value
		}
		return o
	}
	parentOf := func(ref string, stages ...string) Base {
		return Base{Reference: ref, Stages: stages, Parent: true, From: true}
	}
	for name, tc := range map[string]struct {
		text    string
		options Options
		want    []Base
		scratch bool
	}{
		"plain":               {"FROM fedora", amd64, []Base{parentOf("fedora", "0")}, false},
		"lower case":          {"from fedora as x", amd64, []Base{parentOf("fedora", "x")}, false},
		"tag, digest, port":   {"FROM r:5000/a/b:1@sha256:" + strings.Repeat("a", 64), amd64, []Base{parentOf("r:5000/a/b:1@sha256:"+strings.Repeat("a", 64), "0")}, false},
		"platform is dropped": {"FROM --platform=linux/arm64 fedora AS x", amd64, []Base{{Reference: "fedora", Platform: "linux/arm64", Stages: []string{"x"}, Parent: true, From: true}}, false},
		"automatic arguments": {"FROM --platform=$BUILDPLATFORM go AS b\nFROM base-${TARGETARCH}\nCOPY --from=b /x /x", amd64,
			[]Base{{Reference: "go", Platform: "linux/arm64", Stages: []string{"b"}, From: true}, parentOf("base-amd64", "1")}, false},

		// The wrong results of the original.
		"original: argument without default": {"ARG B\nFROM $B", with("", "B=ubi8"), []Base{parentOf("ubi8", "0")}, false},
		"original: default in substitution":  {"ARG B\nFROM ${B:-ubi8}", amd64, []Base{parentOf("ubi8", "0")}, false},
		"original: alias":                    {"FROM x AS b\nFROM b", amd64, []Base{parentOf("x", "b")}, false},
		"original: heredoc":                  {"FROM good\nRUN <<EOF\nFROM evil\nEOF\nCOPY <<A <<-B /x/\nFROM evil\nA\n\tFROM evil\n\tB\n", amd64, []Base{parentOf("good", "0")}, false},

		"default":                      {"ARG B=ubi8\nFROM ${B}", amd64, []Base{parentOf("ubi8", "0")}, false},
		"default overridden":           {"ARG B=ubi8\nFROM ${B}", with("", "B=ubi9"), []Base{parentOf("ubi9", "0")}, false},
		"argument of an argument":      {"ARG V=8\nARG B=ubi${V}\nFROM $B:$V", amd64, []Base{parentOf("ubi8:8", "0")}, false},
		"several in one ARG":           {"ARG A=x B=y\nFROM $A/$B", amd64, []Base{parentOf("x/y", "0")}, false},
		"quoted default":               {"ARG B=\"ubi8\"\nFROM \"$B\"", amd64, []Base{parentOf("ubi8", "0")}, false},
		"plus":                         {"ARG D\nFROM ubi8${D:+-debug}", with("", "D=1"), []Base{parentOf("ubi8-debug", "0")}, false},
		"plus, unset":                  {"ARG D\nFROM ubi8${D:+-debug}", amd64, []Base{parentOf("ubi8", "0")}, false},
		"dash keeps empty":             {"ARG D=\nFROM ubi8${D-x}", amd64, []Base{parentOf("ubi8", "0")}, false},
		"colon dash replaces empty":    {"ARG D=\nFROM ubi8${D:--x}", amd64, []Base{parentOf("ubi8-x", "0")}, false},
		"default not taken":            {"ARG A=x\nFROM ${A:-$NONE}", amd64, []Base{parentOf("x", "0")}, false},
		"undeclared build-arg ignored": {"FROM ${B:-ubi8}", with("", "B=evil"), []Base{parentOf("ubi8", "0")}, false},
		"ARG in a stage is not global": {"ARG B=good\nFROM x AS a\nARG B=evil\nFROM $B", amd64, []Base{parentOf("good", "1")}, false},
		"suffix removal":               {"ARG V=8.1\nFROM ubi${V%.*}", amd64, []Base{parentOf("ubi8", "0")}, false},

		"escape directive": {"# escape=`\nFROM fed`\nora\nRUN dir c:\\\nRUN x", amd64, []Base{parentOf("fedora", "0")}, false},
		"syntax line":      {"# syntax=docker/dockerfile:1\nFROM fedora", amd64, []Base{parentOf("fedora", "0")}, false},
		"continuation":     {"FROM \\\n# comment\n  fedora \\\n  AS x\n", amd64, []Base{parentOf("fedora", "x")}, false},
		"comment":          {"# FROM evil\nFROM good\n  # FROM evil", amd64, []Base{parentOf("good", "0")}, false},
		"CRLF and BOM":     {"\ufeffFROM fedora\r\nRUN x\r\n", amd64, []Base{parentOf("fedora", "0")}, false},
		"continued RUN":    {"FROM good\nRUN echo \\\nFROM evil", amd64, []Base{parentOf("good", "0")}, false},

		"scratch":              {"FROM scratch", amd64, nil, true},
		"scratch by alias":     {"FROM scratch AS s\nFROM s", amd64, nil, true},
		"scratch, others":      {"FROM go AS b\nFROM scratch\nCOPY --from=b /x /x", amd64, []Base{{Reference: "go", Stages: []string{"b"}, From: true}}, true},
		"needed stages only":   {"FROM unused AS u\nFROM go AS b\nFROM ubi8\nCOPY --from=b /x /x", amd64, []Base{{Reference: "go", Stages: []string{"b"}, From: true}, parentOf("ubi8", "2")}, false},
		"transitively":         {"FROM a AS a\nFROM b AS b\nCOPY --from=a / /\nFROM c\nCOPY --from=b / /", amd64, []Base{{Reference: "a", Stages: []string{"a"}, From: true}, {Reference: "b", Stages: []string{"b"}, From: true}, parentOf("c", "2")}, false},
		"target":               {"FROM a AS a\nFROM b AS b\nFROM c", with("B"), []Base{parentOf("b", "b")}, false},
		"target by index":      {"FROM a AS a\nFROM b AS b\nFROM c", with("0"), []Base{parentOf("a", "a")}, false},
		"broken but unused":    {"FROM $NONE AS u\nFROM ubi8", amd64, []Base{parentOf("ubi8", "1")}, false},
		"same base twice":      {"FROM x AS a\nFROM y AS m\nFROM x\nCOPY --from=a / /\nCOPY --from=m / /", amd64, []Base{parentOf("x", "a", "2"), {Reference: "y", Stages: []string{"m"}, From: true}}, false},
		"name hides image":     {"FROM x AS fedora\nFROM fedora", amd64, []Base{parentOf("x", "fedora")}, false},
		"own name is no alias": {"FROM fedora AS fedora\nRUN x", amd64, []Base{parentOf("fedora", "fedora")}, false},
		"last of a name wins":  {"FROM x AS a\nFROM y AS a\nFROM a", amd64, []Base{parentOf("y", "a")}, false},

		"copy from image":    {"FROM x\nCOPY --chown=1 --from=quay.io/a/b:1 / /", amd64, []Base{parentOf("x", "0"), {Reference: "quay.io/a/b:1", Stages: []string{"0"}}}, false},
		"copy from index":    {"FROM a\nFROM b\nCOPY --from=0 / /", amd64, []Base{{Reference: "a", Stages: []string{"0"}, From: true}, parentOf("b", "1")}, false},
		"copy by case":       {"FROM a AS Builder\nFROM b\nCOPY --from=BUILDER / /", amd64, []Base{{Reference: "a", Stages: []string{"builder"}, From: true}, parentOf("b", "1")}, false},
		"mount from image":   {"FROM x\nRUN --mount=type=bind,from=tools,target=/t --mount=type=cache,target=/c x", amd64, []Base{parentOf("x", "0"), {Reference: "tools", Stages: []string{"0"}}}, false},
		"mount from stage":   {"FROM a AS t\nFROM x\nRUN --mount=from=t,target=/t x", amd64, []Base{{Reference: "a", Stages: []string{"t"}, From: true}, parentOf("x", "1")}, false},
		"copy with variable": {"ARG T=tools\nFROM x\nARG T\nENV V=9\nCOPY --from=${T}:$V / /", amd64, []Base{parentOf("x", "0"), {Reference: "tools:9", Stages: []string{"0"}}}, false},
		"inherited variable": {"FROM x AS a\nARG T=tools\nFROM a\nCOPY --from=$T / /", amd64, []Base{parentOf("x", "a"), {Reference: "tools", Stages: []string{"1"}}}, false},
		"ONBUILD is not run": {"FROM x\nONBUILD COPY --from=evil / /", amd64, []Base{parentOf("x", "0")}, false},
		"copied and FROM":    {"FROM x AS a\nCOPY --from=y / /\nFROM y", amd64, []Base{parentOf("y", "1")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, tc.text).Bases(tc.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Bases, cmpopts.IgnoreFields(Base{}, "Line"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("bases (-want +got):\n%s", diff)
			}
			if got.Scratch != tc.scratch {
				t.Errorf("scratch = %v, want %v", got.Scratch, tc.scratch)
			}
		})
	}
}

func TestBasesErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		options Options
		want    string
	}{
		"empty":                  {"", Options{}, "no base image specified in Dockerfile\nhint: add a FROM instruction; FROM scratch starts from nothing"},
		"comments only":          {"# FROM x\n", Options{}, "no base image specified in Dockerfile\nhint: add a FROM instruction; FROM scratch starts from nothing"},
		"ARG only":               {"ARG X=1", Options{}, "no base image specified in Dockerfile\nhint: add a FROM instruction; FROM scratch starts from nothing"},
		"RUN first":              {"\nRUN x\nFROM y", Options{}, "Dockerfile line 2: RUN before the first FROM\nhint: only ARG may come before FROM"},
		"undefined ARG":          {"ARG A\n\nFROM $A", Options{}, "Dockerfile line 3: FROM $A: ARG A has no value\nhint: give it a default on line 1, or pass build-arg A=VALUE"},
		"undeclared ARG":         {"FROM r/${A}:1", Options{BuildArgs: map[string]string{"A": "x"}}, "Dockerfile line 1: FROM r/${A}:1: ARG A has no value\nhint: declare it with ARG A=VALUE before the first FROM"},
		"ARG inside a stage":     {"FROM x\nARG A=1\nFROM $A", Options{}, "Dockerfile line 3: FROM $A: ARG A has no value\nhint: ARG A on line 2 is inside a stage; FROM only sees those before the first FROM"},
		"required ARG":           {"ARG A\nFROM ${A:?needed}", Options{}, `Dockerfile line 2: FROM ${A:?needed}: failed to process "${A:?needed}": A: needed`},
		"empty ARG":              {"ARG A=\nFROM $A", Options{}, "Dockerfile line 2: FROM $A: the base image's name is empty\nhint: give its ARG a value with build-arg, or a default"},
		"unfinished":             {"FROM ${A", Options{}, `Dockerfile line 1: FROM ${A: failed to process "${A": `},
		"no argument":            {"FROM", Options{}, "Dockerfile line 1: FROM has 0 arguments\nhint: the form is FROM [--platform=P] IMAGE [AS NAME]"},
		"two arguments":          {"FROM a b", Options{}, "Dockerfile line 1: FROM has 2 arguments\nhint: the form is FROM [--platform=P] IMAGE [AS NAME]"},
		"bad stage name":         {"FROM a AS 1x", Options{}, "Dockerfile line 1: invalid stage name \"1x\"\nhint: a name begins with a letter, then letters, digits, - _ ."},
		"bad flag":               {"FROM --plat=x a", Options{}, `Dockerfile line 1: unknown flag "--plat=x" of FROM`},
		"unknown instruction":    {"FROM a\nRUNN x", Options{}, `Dockerfile line 2: unknown instruction "RUNN"`},
		"unterminated heredoc":   {"FROM a\nRUN <<E\nx", Options{}, "Dockerfile line 2: unterminated heredoc"},
		"upper-case image":       {"FROM UBI8", Options{}, "Dockerfile line 1: FROM \"UBI8\" is not an image reference: could not parse reference: UBI8"},
		"no such target":         {"FROM a AS x\nFROM b", Options{Target: "y"}, "the Dockerfile has no stage \"y\" to build\nhint: its stages are x, 1"},
		"no such target index":   {"FROM a", Options{Target: "1"}, "the Dockerfile has no stage \"1\" to build\nhint: its stages are 0"},
		"copy from later index":  {"FROM a\nCOPY --from=1 / /\nFROM b\nCOPY --from=0 / /", Options{}, "Dockerfile line 2: --from=1: there is no stage 1 before this one\nhint: no stage comes before this one"},
		"copy from later stage":  {"FROM a\nCOPY --from=x / /\nFROM b AS x\nFROM c\nCOPY --from=0 / /", Options{}, "Dockerfile line 2: --from=x: stage \"x\" begins on line 3, after its use\nhint: move it before the stage that copies from it"},
		"copy from itself":       {"FROM a AS x\nCOPY --from=x / /", Options{}, "Dockerfile line 2: --from=x: stage \"x\" begins on line 1, after its use\nhint: move it before the stage that copies from it"},
		"copy from nothing":      {"FROM a AS builder\nFROM b\nCOPY --from=Builder2 / /", Options{}, "Dockerfile line 3: --from=Builder2 names neither a stage nor an image: could not parse reference: Builder2\nhint: the stages before this one are builder"},
		"copy from empty":        {"FROM a\nCOPY --from= / /", Options{}, "Dockerfile line 2: --from= names neither a stage nor an image: could not parse reference: \nhint: no stage comes before this one"},
		"copy from scratch":      {"FROM a\nCOPY --from=scratch / /", Options{}, "Dockerfile line 2: --from=scratch names neither a stage nor an image: scratch holds no files\nhint: no stage comes before this one"},
		"copy, undefined":        {"ARG T=x\nFROM a\nCOPY --from=$T / /", Options{}, "Dockerfile line 3: --from=$T: ARG T has no value\nhint: declare it with ARG in the stage"},
		"mount from later index": {"FROM a\nRUN --mount=type=bind,from=7 x", Options{}, "Dockerfile line 2: --mount=type=bind,from=7: there is no stage 7 before this one\nhint: no stage comes before this one"},
		"binary":                 {"FROM a\x00", Options{}, "the Dockerfile holds a NUL byte: it is not text"},
		"too large":              {"FROM a\n" + strings.Repeat("#\n", MaxSize/2), Options{}, "the Dockerfile is larger than 1048576 bytes"},
		"too many stages":        {strings.Repeat("FROM a\n", MaxStages+1), Options{}, "Dockerfile line 501: more than 500 stages"},
		"too many images":        {"FROM a\n" + manyCopies(), Options{}, "Dockerfile line 502: more than 500 images to take from"},
		"a bomb":                 {"ARG A=aaaaaaaaaaaaaaaa\n" + strings.Repeat("ARG A=$A$A$A$A\n", 20) + "FROM $A", Options{}, "Dockerfile line 7: ARG A: its variables expand to too much text"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(strings.NewReader(tc.text))
			if err == nil {
				_, err = f.Bases(tc.options)
			}
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %q\nwant  %q", err, tc.want)
			}
			if kind := failure.KindOf(err); kind != failure.InvalidInput {
				t.Errorf("kind %s", kind)
			}
		})
	}
}

// manyCopies takes from more images than are allowed.
func manyCopies() string {
	var b strings.Builder
	for i := range MaxBases + 1 {
		fmt.Fprintf(&b, "COPY --from=i%d / /\n", i)
	}
	return b.String()
}

func TestLabels(t *testing.T) {
	base := []string{"PATH=/bin", "VERSION=8"}
	for name, tc := range map[string]struct {
		text    string
		options Options
		want    map[string]string
	}{
		"plain":             {"FROM x\nLABEL a=b c=\"d e\" 'f g'=h", Options{}, map[string]string{"a": "b", "c": "d e", "f g": "h"}},
		"old form":          {"FROM x\nLABEL name a \"quoted\" $VERSION", Options{}, map[string]string{"name": `a "quoted" 8`}},
		"base's ENV":        {"FROM x\nLABEL version=$VERSION", Options{}, map[string]string{"version": "8"}},
		"own ENV":           {"FROM x\nENV VERSION=9\nLABEL version=${VERSION}", Options{}, map[string]string{"version": "9"}},
		"one ENV at once":   {"FROM x\nENV A=1 B=$A\nLABEL b=\"[$B]\"", Options{}, map[string]string{"b": "[]"}},
		"ENV after LABEL":   {"FROM x\nLABEL v=$V\nENV V=1", Options{}, map[string]string{"v": ""}},
		"ARG":               {"FROM x\nARG R=1\nLABEL r=$R", Options{BuildArgs: map[string]string{"R": "2"}}, map[string]string{"r": "2"}},
		"ENV hides ARG":     {"FROM x\nENV R=1\nARG R=2\nLABEL r=$R", Options{}, map[string]string{"r": "1"}},
		"global ARG":        {"ARG R=1\nFROM x\nLABEL a=$R\nARG R\nLABEL b=$R", Options{}, map[string]string{"a": "", "b": "1"}},
		"automatic ARG":     {"FROM x\nARG TARGETARCH\nLABEL a=$TARGETARCH", Options{Platform: "linux/s390x"}, map[string]string{"a": "s390x"}},
		"later one wins":    {"FROM x\nLABEL a=1\nLABEL a=2", Options{}, map[string]string{"a": "2"}},
		"inherited":         {"FROM x AS a\nENV V=1\nARG W=2\nLABEL a=1\nFROM a\nLABEL b=$V$W", Options{}, map[string]string{"a": "1", "b": "12"}},
		"other stages":      {"FROM x AS a\nLABEL a=1\nFROM y\nLABEL b=1", Options{}, map[string]string{"b": "1"}},
		"target":            {"FROM x AS a\nLABEL a=1\nFROM y\nLABEL b=1", Options{Target: "a"}, map[string]string{"a": "1"}},
		"escaped":           {"FROM x\nLABEL a=\\$V b='$V'", Options{}, map[string]string{"a": "$V", "b": "$V"}},
		"several lines":     {"FROM x\nLABEL a=1 \\\n  b=2", Options{}, map[string]string{"a": "1", "b": "2"}},
		"none":              {"FROM scratch", Options{}, map[string]string{}},
		"not in a heredoc":  {"FROM x\nRUN <<E\nLABEL a=1\nE", Options{}, map[string]string{}},
		"ONBUILD is no own": {"FROM x\nONBUILD LABEL a=1", Options{}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, tc.text).Labels(tc.options, base)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	got, err := parse(t, "FROM x\nENV REL=1.el7\nLABEL release=\"$REL\" \\\n  name=a\n").Entries(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Instruction: "ENV", Name: "REL", Value: "1.el7", Raw: "1.el7", StartLine: 2, EndLine: 2},
		{Instruction: "LABEL", Name: "release", Value: "1.el7", Raw: `"$REL"`, StartLine: 3, EndLine: 4},
		{Instruction: "LABEL", Name: "name", Value: "a", Raw: "a", StartLine: 3, EndLine: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// FuzzParse looks for input that panics, hangs, or gives an answer without a base.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"FROM x", "ARG B\nFROM ${B:-ubi8}", "FROM x AS b\nFROM b\nCOPY --from=0 / /", "FROM x\nRUN <<EOF\nFROM evil\nEOF",
		"# escape=`\nFROM a`\nb", "FROM x\nENV A=$B\nLABEL c=\"${A:+d}\" e f", "FROM --platform=$BUILDPLATFORM x\nRUN --mount=type=bind,from=y z",
		"# syntax=a\n#\n# check=skip=all\nFROM scratch", "ARG A=a\nARG A=${A//a/aaaa}\nFROM ${A%a*}", "ONBUILD ONBUILD RUN x", "\ufeffFROM x\r\n", "FROM x\nADD [\"a\",\"b\"]",
	} {
		f.Add(seed, "", "")
	}
	f.Fuzz(func(t *testing.T, text, target, arg string) {
		if len(text) > 64<<10 {
			t.Skip()
		}
		file, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		o := Options{Target: target, BuildArgs: map[string]string{"B": arg}, Platform: "linux/amd64"}
		result, err := file.Bases(o)
		if err == nil && !result.Scratch && len(result.Bases) == 0 {
			t.Error("neither bases nor scratch")
		}
		for _, b := range result.Bases {
			if b.Reference == "" || len(b.Stages) == 0 || b.Line < 1 {
				t.Errorf("incomplete base %+v", b)
			}
		}
		_, _ = file.Labels(o, []string{"B=1"}) // must end
	})
}
