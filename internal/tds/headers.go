package tds

// allHeaders reads the ALL_HEADERS that precede batches, calls and transaction
// requests from TDS 7.2 on. It returns the transaction descriptor that the client
// believes to be in. Unknown headers are skipped.
func (c *cursor) allHeaders() (tran uint64) {
	total := int(c.u32())
	if total < 4 || total-4 > len(c.p) {
		c.failf("ALL_HEADERS of %d bytes", total)
		return 0
	}
	h := cursor{p: c.take(total - 4)}
	for len(h.p) > 0 && h.err == nil {
		length := int(h.u32())
		kind := h.u16()
		if length < 6 {
			c.failf("header of %d bytes", length)
			return 0
		}
		body := cursor{p: h.take(length - 6)}
		if h.err == nil && kind == 2 {
			tran = body.u64()
			if body.u32(); body.err != nil {
				c.fail(body.err)
			}
		}
	}
	if h.err != nil {
		c.fail(h.err)
	}
	return tran
}

// parseBatch reads a SQL batch.
func parseBatch(data []byte) (string, error) {
	c := cursor{p: data}
	c.allHeaders()
	if c.err == nil && len(c.p)%2 != 0 {
		c.failf("a batch with half a character")
	}
	if c.err != nil {
		return "", c.err
	}
	return decodeUTF16(c.p), nil
}

// parseTM reads a transaction manager request. ok is false for the requests of
// distributed transactions, which this server does not have.
func parseTM(data []byte) (t TM, ok bool, err error) {
	c := cursor{p: data}
	c.allHeaders()
	t.Request = TMRequest(c.u16())
	switch t.Request {
	case TMBegin:
		t.Isolation = c.isolation()
		t.Name = c.tranName()
	case TMCommit, TMRollback:
		t.Name = c.tranName()
		flags := c.u8()
		if flags&1 != 0 {
			t.BeginAgain = true
			// python-tds and FreeTDS send them as zeros, others may leave them out.
			if c.err == nil && len(c.p) > 0 {
				t.BeginIsolation = c.isolation()
			}
			if c.err == nil && len(c.p) > 0 {
				t.BeginName = c.tranName()
			}
		}
	case TMSave:
		t.Name = c.tranName()
	default:
		return t, false, c.err
	}
	return t, true, c.err
}

func (c *cursor) isolation() Isolation {
	i := Isolation(c.u8())
	if i > Snapshot {
		c.failf("isolation level %d", i)
		return 0
	}
	return i
}

// tranName reads a name whose length counts bytes, unlike everywhere else.
func (c *cursor) tranName() string {
	n := int(c.u8())
	if n%2 != 0 {
		c.failf("a transaction name with half a character")
		return ""
	}
	return decodeUTF16(c.take(n))
}
