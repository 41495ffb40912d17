package cutover

// faultOfTwo is one thing that the environment may do, between any two steps.
type faultOfTwo struct {
	name string
	cost int8
	when func(n *two) bool
	do   func(n *two)
}

var faultsOfTwo = func() []faultOfTwo {
	l := []faultOfTwo{
		{"a commit", 1, func(n *two) bool { return !n.w.quiet && n.w.acked < 5 }, func(n *two) { n.w.write() }},
		{"the link breaks over a commit", 1, func(n *two) bool { return n.w.link && !n.w.quiet && n.w.acked < 5 }, func(n *two) { n.w.link = false; n.w.write() }},
		{"link cut", 1, func(n *two) bool { return n.w.link }, func(n *two) { n.w.link = false }},
		{"link heals", 0, func(n *two) bool { return !n.w.link }, func(n *two) { n.w.link = true }},
	}
	for i, s := range []string{"source", "target"} {
		l = append(l,
			faultOfTwo{s + " unreadable", 1, func(n *two) bool { return !n.w.s[i].down }, func(n *two) { n.w.s[i].down = true }},
			faultOfTwo{s + " readable", 0, func(n *two) bool { return n.w.s[i].down }, func(n *two) { n.w.s[i].down = false }},
			faultOfTwo{s + " restarts", 1, func(n *two) bool { return n.w.s[i].start == 1 }, func(n *two) { n.w.restart(int8(i)); n.lock[i] = 0 }},
			faultOfTwo{s + " fails over locally", 1, func(n *two) bool { return n.w.s[i].server == 1 }, func(n *two) {
				x := &n.w.s[i]
				x.server, x.marker, n.lock[i] = 2, 0, 0
				if i == 1 {
					x.log-- // to a replica that lags
				} else {
					x.log = min(x.log, n.w.s[1].log)
				}
			}},
			faultOfTwo{"a person drops the run id in master of the " + s, 1, func(n *two) bool { return n.w.s[i].marker != 0 && !n.w.s[i].down }, func(n *two) { n.w.s[i].marker = 0 }},
			faultOfTwo{"the session that holds the lock on the " + s + " ends", 1, func(n *two) bool { return n.lock[i] != 0 }, func(n *two) { n.lock[i] = 0 }})
	}
	l = append(l, faultOfTwo{"B is armed", 0, func(n *two) bool { return n.e[1].unarmed }, func(n *two) { n.e[1].unarmed = false }})
	for e, name := range engineName {
		l = append(l,
			faultOfTwo{name + " crashes and starts again", 1, func(n *two) bool {
				return n.e[e].in.Run != "" && !(n.e[e].over() && n.lock[0] != int8(e)+1 && n.lock[1] != int8(e)+1)
			}, func(n *two) { n.crash(e) }},
			faultOfTwo{name + " pauses", 1, func(n *two) bool { return !n.e[e].over() && !n.e[e].paused && !n.e[e].unarmed }, func(n *two) { n.e[e].paused = true }},
			faultOfTwo{name + " goes on", 0, func(n *two) bool { return n.e[e].paused }, func(n *two) { n.e[e].paused = false }},
			faultOfTwo{name + " is asked for a rollback", 1, func(n *two) bool { return !n.e[e].rb && n.e[e].in.Run != "" && !n.e[e].over() }, func(n *two) { n.e[e].rb = true }},
			faultOfTwo{name + " drops its run id", 0, func(n *two) bool { m := *n; return !n.e[e].in.Ended.IsZero() && m.sweep(e) }, func(n *two) { n.sweep(e) }})
	}
	return l
}()
