package sqlserver

import (
	"context"
	"fmt"
)

// The run id stands in an extended property of master, so that an engine that
// lost its lock, or has another journal, sees that this DAG is being acted on.

const probePrefix = "cutover_webhook probe "

func propertyExists(name string) string {
	return "SELECT 1 FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = " + nliteral(name)
}

func propertyIs(name, value string) string {
	return propertyExists(name) + " AND CONVERT(nvarchar(4000), p.value) = " + nliteral(value)
}

// WriteRun writes the run id into an extended property of master, and reads it
// back. Another id that stands there already is an error of ClassGuardRefused;
// the same id is not. The lock keeps another engine from writing in between.
func (l *Lock) WriteRun(ctx context.Context, run string) error {
	const op = "write the run id"
	if err := checkRun(run); err != nil {
		return l.failure(op, errThrown("%w", err))
	}
	name := markerName(l.side.names.group)
	batch := "SET NOCOUNT ON;\nIF APPLOCK_MODE(N'dbo', " + nliteral(l.resource) + ", N'Session') = N'Exclusive' AND NOT EXISTS (" + propertyExists(name) + ")\n" +
		"EXEC sp_addextendedproperty @name = " + nliteral(name) + ", @value = " + nliteral(run) + ";\n" + readProperty(name)
	got, err := l.property(ctx, batch)
	switch {
	case err != nil:
		return l.failure(op, err)
	case got == run:
		return nil
	case got == "":
		return l.failure(op, errThrown("it does not stand in master after it was written: is the lock still held, and may the login write there?"))
	}
	return l.failure(op, errThrown("the run %s is under way on this DAG", got))
}

// ReadRun gives the run id in master; "" if there is none.
func (l *Lock) ReadRun(ctx context.Context) (string, error) {
	run, err := l.property(ctx, "SET NOCOUNT ON;\n"+readProperty(markerName(l.side.names.group)))
	if err != nil {
		return "", l.failure("read the run id", err)
	}
	return run, nil
}

// ClearRun drops the property if it holds this run id, and reads it back. None
// there is no error; another id is, of ClassGuardRefused, and stays.
func (l *Lock) ClearRun(ctx context.Context, run string) error {
	const op = "clear the run id"
	if err := checkRun(run); err != nil {
		return l.failure(op, errThrown("%w", err))
	}
	name := markerName(l.side.names.group)
	got, err := l.property(ctx, "SET NOCOUNT ON;\nIF EXISTS ("+propertyIs(name, run)+")\nEXEC sp_dropextendedproperty @name = "+nliteral(name)+";\n"+readProperty(name))
	switch {
	case err != nil:
		return l.failure(op, err)
	case got == "":
		return nil
	case got == run:
		return l.failure(op, errThrown("it still stands in master"))
	}
	return l.failure(op, errThrown("the run %s is under way on this DAG", got))
}

// ProbeMarker writes, reads back and drops a property of another name, to know
// before a run that WriteRun will work.
func (l *Lock) ProbeMarker(ctx context.Context) error {
	const op = "probe the run id"
	name := propertyName(probePrefix, l.side.names.group)
	write := "SET NOCOUNT ON;\nIF EXISTS (" + propertyExists(name) + ")\nEXEC sp_dropextendedproperty @name = " + nliteral(name) + ";\n" +
		"EXEC sp_addextendedproperty @name = " + nliteral(name) + ", @value = N'probe';\n" + readProperty(name)
	got, err := l.property(ctx, write)
	if err != nil {
		return l.failure(op, err)
	}
	if got != "probe" {
		return l.failure(op, errThrown("a property that was written to master does not read back"))
	}
	got, err = l.property(ctx, "SET NOCOUNT ON;\nEXEC sp_dropextendedproperty @name = "+nliteral(name)+";\n"+readProperty(name))
	if err != nil {
		return l.failure(op, err)
	}
	if got != "" {
		return l.failure(op, errThrown("a property that was dropped from master still reads back"))
	}
	return nil
}

func checkRun(run string) error {
	if run == "" {
		return errEmptyRun
	}
	if utf16Len(run) > maxName {
		return fmt.Errorf("the run id is longer than %d characters", maxName)
	}
	return nil
}

// readProperty always has a row, so that a batch that lost its answer is not
// taken for "none".
func readProperty(name string) string {
	return "SELECT 1 AS [property.read], (SELECT CONVERT(nvarchar(4000), p.value) FROM sys.extended_properties AS p WHERE p.class = 0 AND p.name = " + nliteral(name) + ") AS value;\n"
}

func (l *Lock) property(ctx context.Context, batch string) (string, error) {
	rows, err := l.ask(ctx, batch, "property")
	if err != nil {
		return "", err
	}
	c := &columns{row: first(rows)}
	read, value := c.integer(), c.text()
	if c.err != nil || read.V != 1 {
		return "", fmt.Errorf("the answer does not say what stands in master")
	}
	return value, nil
}
