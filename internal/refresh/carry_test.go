package refresh

import "testing"

func TestNamedCutsValuesOff(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`ALTER DATABASE "shop" SET app.jwt_secret TO 'hunter2'`:           `ALTER DATABASE "shop" SET app.jwt_secret`,
		`ALTER ROLE r IN DATABASE "shop" SET "app.key" TO 'a TO b'`:       `ALTER ROLE r IN DATABASE "shop" SET "app.key"`,
		"GRANT SELECT ON TABLE public.t TO reader;\nGRANT x":              "GRANT SELECT ON TABLE public.t TO reader",
		`ALTER DATABASE "shop" OWNER TO "somebody"`:                       `ALTER DATABASE "shop" OWNER TO "somebody"`,
		"GRANT USAGE ON SCHEMA public TO reader WITH GRANT OPTION;\n\n\n": "GRANT USAGE ON SCHEMA public TO reader WITH GRANT OPTION",
	} {
		if got := named(sql); got != want {
			t.Errorf("named(%q) = %q, want %q", sql, got, want)
		}
	}
}
