package tsql

// sp_datatype_info is how ODBC drivers learn a server's types; tdsodbc asks for it while it connects, and takes from it how many digits of a datetime it may send.

// odbcType is one row of sp_datatype_info: the ODBC 3 type, and what the driver needs to know of it.
type odbcType struct {
	name          string
	typ, typ2     int64 // as ODBC 3 and ODBC 2 number it; 0 in typ2: the same
	prec          int64
	quote         string // around literals: "", ', N' or 0x
	params        any
	caseSensitive bool
	number        bool // unsigned, auto-increment and radix are known
	unsigned      bool
	money         bool
	searchable    int64
	scales        bool // minimum and maximum scale are known
	minS, maxS    int64
	sqlType, sub  int64 // SQL_DATA_TYPE and, for dates, SQL_DATETIME_SUB
	radix         int64
	fixedNot      bool // not nullable
	usertype      int64
}

var odbcTypes = []odbcType{
	{name: "datetimeoffset", typ: -155, prec: 34, quote: "'", params: "scale", searchable: 3, scales: true, maxS: 7, sqlType: -155},
	{name: "time", typ: -154, prec: 16, quote: "'", params: "scale", searchable: 3, scales: true, maxS: 7, sqlType: -154},
	{name: "xml", typ: -152, prec: 0, quote: "N'", caseSensitive: true, sqlType: -152},
	{name: "sql_variant", typ: -150, prec: 8000, searchable: 2, sqlType: -150},
	{name: "uniqueidentifier", typ: -11, prec: 36, quote: "'", searchable: 2, sqlType: -11, usertype: 37},
	{name: "ntext", typ: -10, prec: 1073741823, quote: "N'", searchable: 1, sqlType: -10},
	{name: "nvarchar", typ: -9, prec: 4000, quote: "N'", params: "max length", searchable: 3, sqlType: -9},
	{name: "sysname", typ: -9, prec: 128, quote: "N'", searchable: 3, sqlType: -9, fixedNot: true, usertype: 18},
	{name: "nchar", typ: -8, prec: 4000, quote: "N'", params: "length", searchable: 3, sqlType: -8},
	{name: "bit", typ: -7, prec: 1, searchable: 2, scales: true, sqlType: -7, usertype: 16},
	{name: "tinyint", typ: -6, prec: 3, number: true, unsigned: true, searchable: 2, scales: true, sqlType: -6, radix: 10, usertype: 5},
	{name: "bigint", typ: -5, prec: 19, number: true, searchable: 2, scales: true, sqlType: -5, radix: 10},
	{name: "image", typ: -4, prec: 2147483647, quote: "0x", sqlType: -4, usertype: 20},
	{name: "varbinary", typ: -3, prec: 8000, quote: "0x", params: "max length", searchable: 2, sqlType: -3, usertype: 4},
	{name: "binary", typ: -2, prec: 8000, quote: "0x", params: "length", searchable: 2, sqlType: -2, usertype: 3},
	{name: "text", typ: -1, prec: 2147483647, quote: "'", searchable: 1, sqlType: -1, usertype: 19},
	{name: "char", typ: 1, prec: 8000, quote: "'", params: "length", searchable: 3, sqlType: 1, usertype: 1},
	{name: "numeric", typ: 2, prec: 38, params: "precision,scale", number: true, searchable: 2, scales: true, maxS: 38, sqlType: 2, radix: 10, usertype: 10},
	{name: "decimal", typ: 3, prec: 38, params: "precision,scale", number: true, searchable: 2, scales: true, maxS: 38, sqlType: 3, radix: 10, usertype: 24},
	{name: "money", typ: 3, prec: 19, quote: "$", number: true, money: true, searchable: 2, scales: true, minS: 4, maxS: 4, sqlType: 3, radix: 10, usertype: 11},
	{name: "int", typ: 4, prec: 10, number: true, searchable: 2, scales: true, sqlType: 4, radix: 10, usertype: 7},
	{name: "smallint", typ: 5, prec: 5, number: true, searchable: 2, scales: true, sqlType: 5, radix: 10, usertype: 6},
	{name: "float", typ: 6, prec: 53, number: true, searchable: 2, sqlType: 6, radix: 2, usertype: 8},
	{name: "real", typ: 7, prec: 24, number: true, searchable: 2, sqlType: 7, radix: 2, usertype: 23},
	{name: "varchar", typ: 12, prec: 8000, quote: "'", params: "max length", searchable: 3, sqlType: 12, usertype: 2},
	{name: "date", typ: 91, typ2: 9, prec: 10, quote: "'", searchable: 3, sqlType: 9, sub: 1},
	{name: "datetime2", typ: 93, typ2: 11, prec: 27, quote: "'", params: "scale", searchable: 3, scales: true, maxS: 7, sqlType: 9, sub: 3},
	{name: "datetime", typ: 93, typ2: 11, prec: 23, quote: "'", searchable: 3, scales: true, minS: 3, maxS: 3, sqlType: 9, sub: 3, usertype: 12},
	{name: "smalldatetime", typ: 93, typ2: 11, prec: 16, quote: "'", searchable: 3, scales: true, sqlType: 9, sub: 3, usertype: 22},
}

var odbcColumns = func() []Column {
	name, text := NVarChar(128), VarChar(32)
	var out []Column
	for _, c := range []struct {
		name string
		t    Type
	}{{"TYPE_NAME", name}, {"DATA_TYPE", SmallInt}, {"PRECISION", Int}, {"LITERAL_PREFIX", text}, {"LITERAL_SUFFIX", text}, {"CREATE_PARAMS", text}, {"NULLABLE", SmallInt},
		{"CASE_SENSITIVE", SmallInt}, {"SEARCHABLE", SmallInt}, {"UNSIGNED_ATTRIBUTE", SmallInt}, {"MONEY", SmallInt}, {"AUTO_INCREMENT", SmallInt}, {"LOCAL_TYPE_NAME", name},
		{"MINIMUM_SCALE", SmallInt}, {"MAXIMUM_SCALE", SmallInt}, {"SQL_DATA_TYPE", SmallInt}, {"SQL_DATETIME_SUB", SmallInt}, {"NUM_PREC_RADIX", Int}, {"INTERVAL_PRECISION", SmallInt},
		{"USERTYPE", SmallInt}} {
		out = append(out, Column{Name: c.name, Type: c.t, Nullable: c.name != "TYPE_NAME" && c.name != "DATA_TYPE"})
	}
	return out
}()

func (o odbcType) row(v3 bool) []any {
	num := func(ok bool, v int64) any {
		if ok {
			return v
		}
		return nil
	}
	bit := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	typ, sqlType := o.typ, o.sqlType
	if !v3 && o.typ2 != 0 {
		typ = o.typ2
	}
	var prefix, suffix any
	if o.quote != "" {
		prefix = o.quote
		if o.quote != "0x" && o.quote != "$" {
			suffix = "'"
		}
	}
	return []any{o.name, typ, o.prec, prefix, suffix, o.params, bit(!o.fixedNot), bit(o.caseSensitive), o.searchable, num(o.number, bit(o.unsigned)), bit(o.money), num(o.number, 0), o.name,
		num(o.scales, o.minS), num(o.scales, o.maxS), sqlType, num(o.sub != 0, o.sub), num(o.radix != 0, o.radix), nil, o.usertype}
}

// datatypeInfo is sp_datatype_info [@data_type = 0 for all] [, @ODBCVer = 2].
func datatypeInfo(x *executor, name string, args []Arg) (int32, *Error) {
	call := &ProcCall{Session: x.s, Name: name, Args: args}
	v, err := call.Bind(ProcParam{Name: "@data_type", Type: Int, Optional: true, Def: int64(0)}, ProcParam{Name: "@ODBCVer", Type: TinyInt, Optional: true, Def: int64(2)})
	if err != nil {
		return 1, err
	}
	var rows [][]any
	want, _ := v[0].(int64)
	ver, _ := v[1].(int64)
	for _, o := range odbcTypes {
		if r := o.row(ver >= 3); want == 0 || r[1] == want {
			rows = append(rows, r)
		}
	}
	x.results(odbcColumns, rows)
	x.done(DoneInfo{Kind: DoneSelect, Count: int64(len(rows)), HasCount: true})
	return 0, nil
}
