// Command bench measures this project's step binaries against the tools that people would use instead, on the same machine, in
// the same run, and prints ratios: `make bench`. Peers are Debian's buildah and skopeo, git, and crane if it is on the PATH.
//
// Every measurement starts cold: storage, workspace and registry are made anew for each repetition, for both sides. The two
// sides take turns, so that whatever else the machine does falls on both, and the medians are compared.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// comparison is one row: two ways to do the same work.
type comparison struct {
	name string
	// aim is the ratio of wall times that the project wants to stay under; 0 for none.
	aim float64
	// keep leaves what the runs wrote until the end: ext4 is slow to make many files soon after many were removed, and that is not
	// what is measured.
	keep bool
	// prepare makes what both sides need, once; each side is then run in a fresh directory.
	prepare func(ctx context.Context, b *bench) error
	ours    func(ctx context.Context, b *bench, dir string) (usage, error)
	peers   map[string]func(ctx context.Context, b *bench, dir string) (usage, error)
}

// bench is what the comparisons share.
type bench struct {
	bin   string // directory of the binaries under test
	work  string // scratch directory
	runs  int
	crane string
}

func main() {
	b := &bench{}
	flag.StringVar(&b.bin, "bin", "bin", "directory with the binaries to measure")
	flag.IntVar(&b.runs, "runs", 3, "repetitions of each measurement; the median counts")
	only := flag.String("only", "", "run only the comparisons whose name matches this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, b, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, b *bench, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp("", "osbs-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	b.crane = findCrane(b.bin)
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(out, "work\tpeer\tours s\tpeer s\tratio\taim\tours cpu s\tpeer cpu s\tours MB\tpeer MB")
	for _, c := range comparisons() {
		if !match.MatchString(c.name) {
			continue
		}
		if err := b.compare(ctx, c, out); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return b.sizes(out)
}

// compare runs one comparison and prints a line for each peer.
func (b *bench) compare(ctx context.Context, c comparison, out *tabwriter.Writer) error {
	fmt.Fprintf(os.Stderr, "# %s\n", c.name)
	if err := c.prepare(ctx, b); err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	sides := map[string]func(context.Context, *bench, string) (usage, error){"": c.ours}
	for name, peer := range c.peers {
		sides[name] = peer
	}
	names := make([]string, 0, len(sides))
	for name := range sides {
		names = append(names, name)
	}
	slices.Sort(names)
	seen := map[string][]usage{}
	for i := range b.runs {
		for _, name := range names {
			u, err := b.once(ctx, sides[name], c.keep)
			if err != nil {
				return fmt.Errorf("run %d of %q: %w", i+1, name, err)
			}
			seen[name] = append(seen[name], u)
			fmt.Fprintf(os.Stderr, "  %-12s %v\n", orOurs(name), u)
		}
	}
	ours := median(seen[""])
	for _, name := range names[1:] {
		peer := median(seen[name])
		fmt.Fprintf(out, "%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%.2f\t%.2f\t%d\t%d\n", c.name, name, ours.wall.Seconds(), peer.wall.Seconds(),
			ours.wall.Seconds()/peer.wall.Seconds(), aim(c.aim), ours.cpu.Seconds(), peer.cpu.Seconds(), ours.memory>>20, peer.memory>>20)
	}
	return nil
}

// once runs one side in a directory of its own.
func (b *bench) once(ctx context.Context, side func(context.Context, *bench, string) (usage, error), keep bool) (usage, error) {
	dir, err := os.MkdirTemp(b.work, "run")
	if err != nil {
		return usage{}, err
	}
	if !keep {
		defer removeStorage(dir)
	}
	syscall.Sync() // what the run before left to write is not this one's to wait for
	return side(ctx, b, dir)
}

func (b *bench) sizes(out *tabwriter.Writer) error {
	fmt.Fprintln(out, "\nbinary\tMB")
	for _, name := range []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import", "osbs"} {
		info, err := os.Stat(filepath.Join(b.bin, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\t%.1f\n", name, float64(info.Size())/1e6)
	}
	return out.Flush()
}

func median(all []usage) usage {
	slices.SortFunc(all, func(a, b usage) int { return int(a.wall - b.wall) })
	return all[len(all)/2]
}

func orOurs(name string) string {
	if name == "" {
		return "ours"
	}
	return name
}

func aim(a float64) string {
	if a == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", a)
}

// usage is what a command, or several one after the other, took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // peak resident bytes of the largest process
}

func (u usage) String() string {
	return fmt.Sprintf("%6.2f s wall %6.2f s cpu %5d MB", u.wall.Seconds(), u.cpu.Seconds(), u.memory>>20)
}

func (u usage) plus(v usage) usage {
	return usage{wall: u.wall + v.wall, cpu: u.cpu + v.cpu, memory: max(u.memory, v.memory)}
}
