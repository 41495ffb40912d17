package sqlserver

// Grants are the statements that give a login the rights which a reading found
// missing (hadr.Reading.Missing, Found.Missing), for a server of this major
// version. An empty login is written as a placeholder.
func Grants(major int, login string, missing []string) []string {
	to := "[the exporter's login]"
	if login != "" {
		to = ident(login)
	}
	var out []string
	for _, right := range missing {
		if right == "VIEW SERVER STATE" && major >= v2022 {
			right = "VIEW SERVER PERFORMANCE STATE"
		}
		out = append(out, "GRANT "+right+" TO "+to+";")
	}
	return out
}
