package runner

import (
	"fmt"
	"time"
)

const (
	repeatsTold  = 10          // of what happens again and again in a run so many are told one by one,
	repeatsEvery = time.Minute // and then one in this time
)

// repeats keeps what goes on failing from filling a run's log: RSSTC=0 for a
// source that is gone is tried every two seconds, for a weekend if need be. The
// intent has the number of tries and the last answer. By what is told.
type repeats map[string]*repeat

type repeat struct {
	n, left int       // how often it happened; how often since the last one told
	told    time.Time // when that was
}

// again reports whether this one is told, and what is to be added to its text.
func (r repeats) again(what string, now time.Time) (tell bool, since string) {
	x := r[what]
	if x == nil {
		x = &repeat{}
		r[what] = x
	}
	x.n++
	if x.n > repeatsTold && now.Sub(x.told) < repeatsEvery {
		x.left++
		return false, ""
	}
	if x.left > 0 {
		since = fmt.Sprintf(" (and %d times more since %s)", x.left, x.told.UTC().Format(time.TimeOnly))
	}
	x.left, x.told = 0, now
	return true, since
}
