package step

import (
	"fmt"
	"log/slog"
	"syscall"
	"time"
)

// logUsage says what the step and the processes that it started have cost, for those who set limits: CPU time of all, and the largest
// resident size that one of them had (getrusage(2)).
func logUsage(log *slog.Logger) {
	var cpu time.Duration
	var peak int64 // KiB
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return
		}
		cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		peak = max(peak, u.Maxrss)
	}
	log.Debug("resources used", "cpu", cpu.Round(time.Millisecond), "peak-memory", fmt.Sprintf("%dMi", (peak+1023)>>10))
}
