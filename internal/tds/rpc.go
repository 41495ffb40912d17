package tds

// Between two calls of one message stands one of these.
const (
	rpcSeparator   = 0xFF
	rpcNoExecution = 0xFE
)

// Parameters are limited as on a real server.
const maxParams = 2100

// parseRPC reads the calls of an RPC message.
func parseRPC(data []byte) ([]Call, error) {
	c := cursor{p: data}
	c.allHeaders()
	var calls []Call
	for c.err == nil {
		call := c.call()
		more := false
		if c.err == nil && len(c.p) > 0 {
			sep := c.u8()
			call.NoExecution = sep == rpcNoExecution
			more = len(c.p) > 0 // a separator may also end the message
		}
		calls = append(calls, call)
		if !more {
			break
		}
	}
	return calls, c.err
}

// call reads one call up to its separator or the message's end.
func (c *cursor) call() (call Call) {
	if n := c.u16(); n == 0xFFFF {
		call.ProcID = ProcID(c.u16())
		if call.ProcID == 0 || int(call.ProcID) >= len(procNames) {
			c.failf("procedure id %d", call.ProcID)
			return call
		}
		call.ProcName = procNames[call.ProcID]
	} else {
		if n == 0 || n > 1046 { // four quoted identifiers and their dots
			c.failf("a procedure name of %d characters", n)
			return call
		}
		call.ProcName = c.utf16(int(n))
	}
	flags := c.u16()
	call.Recompile, call.NoMetadata = flags&1 != 0, flags&2 != 0
	for c.err == nil && len(c.p) > 0 && c.p[0] != rpcSeparator && c.p[0] != rpcNoExecution {
		if len(call.Params) == maxParams {
			c.failf("more than %d parameters", maxParams)
			return call
		}
		call.Params = append(call.Params, c.param())
	}
	return call
}

func (c *cursor) param() (p Param) {
	p.Name = c.bVarChar()
	status := c.u8()
	p.Output, p.Default = status&1 != 0, status&2 != 0
	info := c.typeInfo()
	p.Type = info.Type
	p.Value = c.value(info)
	if p.Default {
		p.Value = nil
	}
	return p
}
