package tsql

// tran runs BEGIN, COMMIT, ROLLBACK and SAVE TRANSACTION.
func (x *executor) tran(t *tranStmt) {
	s := x.s
	name := t.name
	if t.vari != "" {
		v := x.f.lookup(t.vari)
		if v == nil {
			failCompile(t.line, 137, 15, 2, "Must declare the scalar variable \"%s\".", t.vari)
		}
		name, _ = v.val.(string)
	}
	s.rowCount = 0
	switch t.verb {
	case "BEGIN":
		x.begin(name)
		x.done(DoneInfo{Kind: DoneBegin})
	case "COMMIT":
		switch {
		case s.tranCount == 0:
			fail(3902, 16, 1, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
		case s.doomed:
			fail(3930, 16, 1, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.")
		case s.tranCount == 1:
			if err := s.host.Commit(x.ctx); err != nil {
				panic(err)
			}
			s.ForgetTran()
			s.tempSave, s.savepoints = nil, nil
			x.sent(x.sink.Env(EnvChange{Kind: EnvCommit}))
		default:
			s.tranCount--
		}
		x.done(DoneInfo{Kind: DoneCommit})
	case "ROLLBACK":
		if s.tranCount == 0 {
			fail(3903, 16, 1, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
		}
		if name != "" && !EqualFold(name, s.tranName) {
			saved, ok := s.savepoints[collCI.fold(name)]
			if !ok {
				fail(6401, 16, 1, "Cannot roll back %s. No transaction or savepoint of that name was found.", name)
			}
			if s.doomed {
				fail(3931, 16, 1, "The current transaction cannot be committed and cannot be rolled back to a savepoint. Roll back the entire transaction.")
			}
			check(s.host.RollbackTo(x.ctx, name))
			s.restoreTemps(saved)
		} else {
			x.rollback()
		}
		x.done(DoneInfo{Kind: DoneRollback})
	case "SAVE":
		if s.tranCount == 0 {
			fail(628, 16, 0, "Cannot issue SAVE TRANSACTION when there is no active transaction.")
		}
		if s.doomed {
			fail(3933, 16, 1, "Cannot promote the transaction because there is an active save point in this transaction.")
		}
		check(s.host.Save(x.ctx, name))
		s.savepoints[collCI.fold(name)] = s.saveTemps()
		x.done(DoneInfo{})
	}
}

func (x *executor) begin(name string) {
	s := x.s
	if s.tranCount == 0 {
		check(s.host.Begin(x.ctx))
		s.tranName, s.doomed = name, false
		s.tempSave, s.savepoints = s.saveTemps(), map[string]map[string]tempState{}
		s.tranCount = 1
		x.sent(x.sink.Env(EnvChange{Kind: EnvBegin}))
		return
	}
	s.tranCount++
}

// rollback ends the whole transaction.
func (x *executor) rollback() {
	s := x.s
	s.host.Rollback(x.ctx)
	s.restoreTemps(s.tempSave)
	s.tempSave, s.savepoints = nil, nil
	s.ForgetTran()
	x.sent(x.sink.Env(EnvChange{Kind: EnvRollback}))
}

// writable makes sure that DML may run: an uncommittable transaction only reads. Under IMPLICIT_TRANSACTIONS it opens one.
func (x *executor) writable() {
	if x.s.doomed {
		fail(3930, 16, 1, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.")
	}
	if x.s.opts.implicit && x.s.tranCount == 0 {
		x.begin("")
	}
}
