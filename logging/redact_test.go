package logging

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var quotedInBackticks = regexp.MustCompile("`([^`]+)`")

func backticks(text string) (out []string) {
	for _, found := range quotedInBackticks.FindAllStringSubmatch(text, -1) {
		out = append(out, found[1])
	}
	return out
}

// shownSecrets are the names and the forms of secrets in docs/logging.md.
func shownSecrets(t *testing.T) (names, forms []string) {
	t.Helper()
	page, err := os.ReadFile("../docs/logging.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "in place of `_`:\n\n")
	require.True(t, found)
	list, text, _ := strings.Cut(text, "\n\n")
	_, text, found = strings.Cut(text, "| a secret | example |\n|---|---|\n")
	require.True(t, found)
	rows, _, _ := strings.Cut(text, "\n\n")
	for _, row := range strings.Split(rows, "\n") {
		_, examples, found := strings.Cut(strings.Trim(row, "| "), " | ")
		require.True(t, found, row)
		forms = append(forms, backticks(examples)...)
	}
	return backticks(list), forms
}

// Every name that the page shows is taken out in every form that it shows, and the page shows every name that there is.
func TestEverySecretThatThePageShowsIsRedacted(t *testing.T) {
	names, forms := shownSecrets(t)
	own := regexp.MustCompile(`(?s)NAMES = %w\[(.*?)\]`).FindStringSubmatch(filterPlugin)
	require.NotNil(t, own)
	assert.Equal(t, strings.Fields(own[1]), names)
	var texts []string
	for _, form := range forms {
		form = strings.ReplaceAll(form, "⏎", "\n")
		if !strings.Contains(form, "password") {
			texts = append(texts, form)
			continue
		}
		for _, name := range names {
			for _, spelled := range []string{
				name, strings.ToUpper(name), strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(name, "_", ""), "db_" + name + "s",
				"x-" + name + "-value",
			} {
				texts = append(texts, strings.ReplaceAll(form, "password", spelled))
			}
		}
	}
	for i, document := range documents(t, "output", nil, texts...) {
		text, err := json.Marshal(document)
		require.NoError(t, err)
		assert.NotRegexp(t, `hunter2|AKIA|eyJ`, string(text), texts[i])
		assert.Contains(t, string(text), "[redacted]", texts[i])
	}
}

// A private key is taken out of a log whose messages are its lines, also when they are read again, or when its beginning was read before a
// start; and nothing but the key.
func TestAPrivateKeyOfManyMessagesIsRedacted(t *testing.T) {
	const body = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj"
	type line struct{ id, text, want string }
	key := func(file string, head string) []line {
		return []line{
			{file + "-100", head + "-----BEGIN RSA PRIVATE KEY-----", head + "[redacted]"},
			{file + "-200", head + "Proc-Type: 4,ENCRYPTED", head + "[redacted]"},
			{file + "-300", head + body, head + "[redacted]"}, {file + "-310", head + "started", head + "started"},
			{file + "-320", "GET /a 200", "GET /a 200"},
			{file + "-400", head + "aGk2Aw==", head + "[redacted]"}, {file + "-500", head + "-----END RSA PRIVATE KEY----- done", "[redacted] done"},
			{file + "-600", "hunter3", "hunter3"},
		}
	}
	plain, prefixed := key("a", ""), key("b", "10:00 INFO ")
	again := slices.Concat(plain[:3], plain[2:], plain[3:], plain)
	rotated := append(plain[:2:2], line{"c-0", body, "[redacted]"}, line{"c-65", "aGk2Aw==", "[redacted]"},
		line{"c-80", "-----END RSA PRIVATE KEY-----", "[redacted]"}, line{"c-90", "hunter3", "hunter3"})
	endless := append(plain[:3:3], line{"a-310", "OK", "OK"}, line{"a-320", "12345", "12345"}, line{"a-330", "done in 3 s", "done in 3 s"},
		line{"a-99999", "aGk2Aw==", "aGk2Aw=="})
	quoted := []line{
		{"a-100", `level=info msg="-----BEGIN PRIVATE KEY-----"`, `level=info msg="[redacted]`},
		{"a-200", `level=info msg="` + body + `"`, `level=info msg="[redacted]"`},
		{"a-300", `level=info msg="aGk2Aw=="`, `level=info msg="[redacted]"`}, {"a-400", `level=info msg="started"`, `level=info msg="started"`},
	}
	const upload = `open() "/upload/0123456789abcdefghijklmnopqrstuvwxyzABCDEF/x9" failed, client: 10.0.0.2`
	client := []line{
		{"a-100", `open() "/-----BEGIN PRIVATE KEY-----" failed, client: 10.0.0.1`, `open() "/[redacted]`}, {"a-200", upload, upload},
		{"a-300", "a1b2c3", "a1b2c3"},
		{"a-400", `open() "/-----BEGIN PRIVATE KEY-----\n" failed, client: 10.0.0.1`, `open() "/[redacted]`}, {"a-500", upload, upload},
		{"a-600", "a1b2c3", "a1b2c3"},
	}
	literal := []line{{"a-100", `-----BEGIN PRIVATE KEY-----\r\n`, "[redacted]"}, {"a-200", body, "[redacted]"},
		{"a-300", "aGk2Aw==", "[redacted]"}}
	unknown := []line{{"a-300", body, "[redacted]"}, {"a-400", strings.Repeat("0123abcd", 8), strings.Repeat("0123abcd", 8)}}
	for name, lines := range map[string][]line{"plain": plain, "prefixed": prefixed, "read again": again, "rotated": rotated,
		"endless": endless, "quoted": quoted, "a client's": client, "literal ends": literal, "begun before": unknown} {
		for _, object := range []bool{false, true} {
			if object && name == "begun before" {
				continue // An object has other texts of that form.
			}
			input := filterInput{Filter: settings(t, nil)}
			for _, l := range lines {
				text := l.text
				if object {
					encoded, err := json.Marshal(map[string]string{"level": "info", "msg": l.text})
					require.NoError(t, err)
					text = string(encoded)
				}
				input.Messages = append(input.Messages, logText{Path: "/var/log/pod/web/output.log", Message: []any{text}, ID: l.id})
			}
			events, failure := filtered(t, input)
			require.Empty(t, failure)
			for i, e := range events {
				assert.Equal(t, lines[i].want, e.Record["message"], "%s: %s (%v)", name, lines[i].text, object)
			}
		}
	}
}

// The text around a secret stays readable, whatever the secret contains.
func TestSecretsAreRedacted(t *testing.T) {
	texts := map[string]string{
		"Authorization: Bearer s3cret.s3cret":                                 "Authorization: [redacted]",
		"> authorization: Digest username=\"s3cret\", nonce=\"s3cret\"\n> ok": "> authorization: [redacted]\n> ok",
		"Proxy-Authorization: Basic czNjs3cret==":                             "Proxy-Authorization: [redacted]",
		"curl -H 'Cookie: a=s3cret; b=s3cret' x":                              "curl -H 'Cookie: [redacted]",
		"Set-Cookie: id=s3cret; HttpOnly; Secure":                             "Set-Cookie: [redacted]",
		"X-Amz-Security-Token: s3cret":                                        "X-Amz-Security-Token: [redacted]",
		`sent {"Authorization": "Bearer s3cret", "Accept": "*/*"}`:            `sent {"Authorization": "[redacted]", "Accept": "*/*"}`,
		`sent {\"Cookie\":\"a=s3cret; b=s3cret\",\"x\":1}`:                    `sent {\"Cookie\":\"[redacted]\",\"x\":1}`,
		"authorization=Bearer s3cret status=401":                              "authorization=[redacted] status=401",
		"authorization=s3cret status=401":                                     "authorization=[redacted] status=401",
		"cookie=a=s3cret; b=s3cret status=401":                                "cookie=[redacted] status=401",
		"{ authorization: 'Bearer s3cret', host: 'web' }":                     "{ authorization: '[redacted]', host: 'web' }",
		"map[Authorization:[Bearer s3cret] Host:[web]]":                       "map[Authorization:[redacted] Host:[web]]",
		"[('Authorization', 'Token s3cret'), ('Accept', 'x')]":                "[('Authorization', '[redacted]'), ('Accept', 'x')]",
		"got Bearer s3cret from 10.0.0.1":                                     "got Bearer [redacted] from 10.0.0.1",
		"BASIC czNj+s3cret/== is not enough":                                  "BASIC [redacted] is not enough",
		"password=s3cret user=bob":                                            "password=[redacted] user=bob",
		"password= s3cret user=bob":                                           "password= [redacted] user=bob",
		"password= a=s3cret user=bob":                                         "password= [redacted] user=bob",
		"password=[redacted]s3cret user=bob":                                  "password=[redacted] user=bob",
		"password={s3cret}s3cret user=bob":                                    "password=[redacted] user=bob",
		"DB_PASSWORD: s3cret":                                                 "DB_PASSWORD: [redacted]",
		`pwd = "s3cret with \" and s3cret" next`:                              `pwd = "[redacted]" next`,
		`pwd = "s3cret\\" next`:                                               `pwd = "[redacted]" next`,
		`{\"pwd\":\"s3cret\\\"s3cret\",\"a\":1}`:                              `{\"pwd\":\"[redacted]\",\"a\":1}`,
		"passwd => 's3cret s3cret' next":                                      "passwd => '[redacted]' next",
		"password=b's3cret s3cret' next":                                      "password=b'[redacted]' next",
		"User(name='bob', password='s3cret', age=3)":                          "User(name='bob', password='[redacted]', age=3)",
		"MYSQL_PWD=s3cret PWD=/app OLDPWD=/":                                  "MYSQL_PWD=[redacted] PWD=/app OLDPWD=/",
		"Server=db;Uid=sa;Pwd=s3cret;x":                                       "Server=db;Uid=sa;Pwd=[redacted]",
		"aws_secret_access_key = abc/s3cret+EXAMPLE":                          "aws_secret_access_key = [redacted]",
		"aws_access_key_id=s3cret":                                            "aws_access_key_id=[redacted]",
		"AWS_SESSION_TOKEN=s3cret//////////":                                  "AWS_SESSION_TOKEN=[redacted]",
		"SecretAccessKey:s3cret":                                              "SecretAccessKey:[redacted]",
		"api-key: s3cret":                                                     "api-key: [redacted]",
		"API key: s3cret.":                                                    "API key: [redacted]",
		"apikey=s3cret&page=2":                                                "apikey=[redacted]",
		"GET https://b.s3.amazonaws.com/k?X-Amz-Signature=s3cret":             "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=[redacted]",
		`{"u":"https://x.y/?token=s3cret","page":2}x`:                         `{"u":"https://x.y/?token=[redacted]","page":2}x`,
		`[{"access_token":"s3cret"},{"page":1}]`:                              `[{"access_token":"[redacted]"},{"page":1}]`,
		`"credentials": {"a": "s3cret }", "b": ["s3cret"]} next`:              `"credentials": [redacted] next`,
		"cloning https://bob:s3cret@example.com/x.git":                        "cloning https://[redacted]@example.com/x.git",
		"postgres://bob:s3@cret@db:5432/x?sslmode=off":                        "postgres://[redacted]@db:5432/x?sslmode=off",
		"https://s3cret@example.com and https://x.y/a@b":                      "https://[redacted]@example.com and https://x.y/a@b",
		"key AKIAIOSFODNN7EXAMPLE.":                                           "key [redacted].",
		"login with eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.abc":                  "login with [redacted]",
		"card 4111-s3cret-1111 paid":                                          "card [redacted] paid",
		"ключ s3cret-é":                                                       "[redacted]é",
		`values ("password", "s3cret")`:                                       `values ("password", "[redacted]")`,
		`[('db_password', 's3cret'), ('user', 'bob')]`:                        `[('db_password', '[redacted]'), ('user', 'bob')]`,
		`['mysql', '--password', 's3cret', 'db']`:                             `['mysql', '--password', '[redacted]', 'db']`,
		`password='it''s s3cret' next`:                                        `password='[redacted]' next`,
		`password="a""s3cret",1`:                                              `password="[redacted]",1`,
		"array(1) { [\"password\"]=>\n  string(7) \"s3cret x\"\n}":            "array(1) { [\"password\"]=>\n  string(7) \"[redacted]\"\n}",
		`array(1) { ['password'] => 's3cret' }`:                               `array(1) { ['password'] => '[redacted]' }`,
		`a:1:{s:8:"password";s:6:"s3cret";}`:                                  `a:1:{s:8:"password";s:6:"[redacted]";}`,
		`<property name="connection.password">s3cret x</property>`:            `<property name="connection.password">[redacted]</property>`,
		`<entry id="a" key="db.password">s3cret</entry>`:                      `<entry id="a" key="db.password">[redacted]</entry>`,
		`<add key="password" value="s3cret"/>`:                                `<add key="password" value="[redacted]"/>`,
		`ALTER USER bob WITH PASSWORD 's3cret'`:                               `ALTER USER bob WITH PASSWORD '[redacted]'`,
		`CREATE USER bob IDENTIFIED BY 's3cret x' EXPIRE`:                     `CREATE USER bob IDENTIFIED BY '[redacted]' EXPIRE`,
		`create user bob identified with sha2 by "s3cret"`:                    `create user bob identified with sha2 by "[redacted]"`,
		"SSHPASS=s3cret BYPASS=on otp=s3cret":                                 "SSHPASS=[redacted] BYPASS=on otp=[redacted]",
		"csrf=s3cret session_id=s3cret PASSKEY=s3cret auth_key=s3cret": "csrf=[redacted] session_id=[redacted] PASSKEY=[redacted] " +
			"auth_key=[redacted]",
		"GET /map?key=s3cret&sig=s3cret&a=1":       "GET /map?key=[redacted]&sig=[redacted]&a=1",
		"GET /map?sid=s3cret&auth=s3cret HTTP/1.1": "GET /map?sid=[redacted]&auth=[redacted] HTTP/1.1",
		`dsn="bob:s3c:ret@tcp(db:3306)/x" or a:s3cret@unix(/run/x)/y`: `dsn="bob:[redacted]@tcp(db:3306)/x" or ` +
			`a:[redacted]@unix(/run/x)/y`,
	}
	for _, text := range []string{
		"tokens=12 used", "a basic, thing", "secretary of state", "keyboard: qwerty", "https://example.com/a?b=c", "Grüße, 東京", "authorized: yes",
		"the password was changed", `request: "GET /a HTTP/1.1", host: "web"`, "password=, user=bob", "token: null", `{"password":""}x`,
	} {
		texts[text] = text
	}
	order := slices.Sorted(maps.Keys(texts))
	env := map[string]string{"LOG_REDACT": `["\\d{4}-s3cret-\\d{4}","ключ s3cret-"]`}
	for i, got := range documents(t, "output", env, order...) {
		assert.Equal(t, texts[order[i]], got["message"], "%s", order[i])
		assert.NotContains(t, got["message"], "s3cret", "%s", order[i])
	}
}

// A password may begin with a word that is not secret, and so may a value whose name only mentions a secret.
func TestWhatOnlyLooksHarmlessIsRedacted(t *testing.T) {
	var texts []string
	for _, name := range []string{"password", "token", "secrets", "Authorization", "Cookie"} {
		for _, value := range []string{
			`"no way hunter2"`, `'valid hunter2 x'`, `"set, hunter2"`, `ok.hunter2`, `set:hunter2`, `off)hunter2`, `10.0.0.hunter2`, `1.2.3-hunter2`,
			`null,hunter2`,
			`"off hunter2"`, `'ok''hunter2'`, `"ok""hunter2"`, `12,hunter2`, `"12 hunter2"`, `12)hunter2`, `true;hunter2`, `"""hunter2 x"""`,
			`'''hunter2'''`, ` a=hunter2`, `off"hunter2`, `[]hunter2`,
		} {
			texts = append(texts, name+"="+value, "x "+name+": "+value+" y")
		}
	}
	texts = append(texts, "Authorization: required hunter2", "Cookie: valid; x=hunter2", "authorization=denied hunter2",
		"Set-Cookie: ok, hunter2")
	for _, name := range []string{
		"DB_PASSWORD_WORKER", "GITHUB_TOKEN_GO", "NPM_TOKEN_JS", "password_java", "FB_PAGE_TOKEN", "pageToken", "SYNC_TOKEN", "CHANGE_TOKEN",
		"lock_token", "DB_PASSWORD_TEST", "STRIPE_SECRET_KEY_TEST",
		"DB_PASSWORD_CACHE", "DB_PASSWORD_CLIENT", "DB_PASSWORD_SERVICE", "NEXT_TOKEN", "BLUE_NEXT_TOKEN", "db_password_worker",
		"db-password-service", "dbPasswordClient", "DbPasswordTest",
	} {
		texts = append(texts, name+"=hunter2", name+": hunter2", `{"`+name+`":"hunter2"}`, `{"`+name+`":{"a":"hunter2"}}`,
			`{"env":[{"name":"`+name+`","value":"hunter2"}]}`)
	}
	texts = append(texts, "/db/password: hunter2", "config/db/password: hunter2", "kv/prod/token: hunter2",
		"spring.datasource.Password: hunter2", "a/db/password: hunter2 # x",
		"/db/password: abc-hunter2 user=bob", "/db/password: hunter2 is x", "PWD=/hunter2", "UID=sa;PWD=/app/hunter2", `{"PWD":"/hunter2"}`,
		"OLDPWD=/hunter2",
		"ParameterKey=DBPassword,ParameterValue=hunter2", `{"ParameterKey":"DBPassword","ParameterValue":"hunter2"}`,
		"- ParameterKey: DBPassword\n  ParameterValue: hunter2",
		"password: |\n  hunter2", "password: >-\n  a\n  hunter2\nx: 1", "  password: |+\n    a\n\n    b hunter2\n  c: 1",
		`{"token_request":{"value":"hunter2"}}`,
		`{"password_change":{"old":"hunter2","new":"hunter2"}}`, "password={}hunter2", `volume "token" : hunter2`)
	for _, field := range []string{"column", "property", "attribute", "setting", "option", "Column_Name"} {
		texts = append(texts, `{"`+field+`":"password","value":"hunter2"}`)
	}
	var all []string
	for _, text := range texts {
		encoded, err := json.Marshal(map[string]string{"msg": text})
		require.NoError(t, err)
		all = append(all, text, string(encoded), "got "+string(encoded))
	}
	for i, got := range documents(t, "output", nil, all...) {
		assert.Contains(t, fmt.Sprint(got), "[redacted]", all[i])
		assert.NotContains(t, fmt.Sprint(got), "hunter2", all[i])
	}
	const yaml = "a: 1\n  password: |\n    hunter2\n    b\n  c: 1"
	assert.Equal(t, "a: 1\n  password: |\n    [redacted]  c: 1", documents(t, "output", nil, yaml)[0]["message"])
}

// A key says that its value is a secret, however deep it is and whatever the value is, unless it can be none.
func TestValuesOfSecretKeysAreRedacted(t *testing.T) {
	secret := []string{
		`"authorization"`, `"PROXY-AUTHORIZATION"`, `"cookies"`, `"Set-Cookie"`, `"x-amz-security-token"`, `"passwd"`, `"dbPassword"`,
		`"password2"`, `"passwordHash"`,
		`"client_secret"`, `"accessToken"`, `"apiKey"`, `"API-KEY"`, `"APIKey"`, `"secret_access_key"`, `"private key"`, `"credentials"`,
		`"user[password]"`, `"tokens"`,
		`"MYSQL_PWD"`, `"pass"`, `"accessTokenValue"`, `"\u0070assword"`, `"pass\u0077ord"`,
	}
	var texts []string
	for _, key := range secret {
		for _, value := range []string{`"s3cret"`, `["s3cret",{"a":"s3cret"}]`, `{"a":"s3cret"}`} {
			texts = append(texts, `{`+key+`:`+value+`}`, `{"a":[[{"b":{`+key+`:`+value+`}}]]}`)
		}
	}
	texts = append(texts, `{"password":1234}`, `{"Bearer s3cret":"x"}`, "\xff"+`{"password":"s3cret"}`,
		`{"a":"`+"\xff"+`","b":[{"Cookie":"s3cret"}]}`,
		`{"raw":["Host","x","Authorization","Token s3cret","X-Api-Key","s3cret"]}`, `{"env":[{"name":"DB_PASSWORD","value":"s3cret"}]}`,
		`{"k":"token","v":["s3cret"]}`,
		`{"headers":[{"Name":"Authorization","Value":"s3cret"}]}`, `{"Key":"DB_PASSWORD","Value":"s3cret"}`,
		`{"ParameterName":"p/db-password","parameter_value":"s3cret"}`,
		`{"id":"password","value":"s3cret"}`, `{"op":"replace","path":"/password","value":"s3cret"}`,
		`{"field":"password","old":"s3cret","new":"s3cret"}`,
		`{"args":["--password","s3cret"]}`, `{"cmd":["mysql","-u","bob","--db-token","s3cret","x"]}`, `{"h":[["password","s3cret"],["a","b"]]}`,
		`{"raw":["X","Authorization","Authorization","s3cret"]}`, `{"raw":["Cookie","Authorization","s3cret","Host"]}`,
		`{"lines":["a","-----BEGIN RSA PRIVATE KEY-----","s3cret","s3cret","-----END RSA PRIVATE KEY----- x","y"]}`)
	for i, got := range documents(t, "output", nil, texts...) {
		assert.Contains(t, fmt.Sprint(got), "[redacted]", texts[i])
		assert.NotRegexp(t, "s3cret|1234", fmt.Sprint(got["json"], got["message"]), texts[i])
	}
	// Half a character, which JSON can name, is no reason to lose the others.
	for _, text := range []string{
		`{"a":[["pass\udfffword","x"]],"token":"s3cret"}`, `{"\udfff":1,"token":"s3cret"}`, `{"token":"\udfff","b":"y","c":"password=s3cret"}`,
		`{"tokens":"\udfff","token":"s3cret"}`,
		`{"a":["--token","\udfff s3cret"],"msg":"\udfff"}`, `{"a":["-----BEGIN PRIVATE KEY-----","\udfff s3cret","s3cret"]}`,
		`{"msg":"-----BEGIN \udfff PRIVATE KEY-----","token":"s3cret"}`,
	} {
		got := documents(t, "output", nil, text)[0]
		assert.Regexp(t, `"[^"]*\[redacted\]`, fmt.Sprintf("%q", got), text)
		assert.NotRegexp(t, "s3cret|could not be", fmt.Sprint(got), text)
	}
	const plain = `{"token_count":7,"max_tokens":4096,"tokens":{"secretName":"db"},"password":null,"secret":true,"cookie":"",` +
		`"TokenService":"up","token_type":"bearer",` +
		`"name":"password","PWD":"/app","pass":3,"primary_key":"id","list":["password","token","x"],"key":"user:1","monkey":"ape",` +
		`"compass":"north",` +
		`"args":["--no-password","--token","--verbose","x"],"eos_token":"</s>","bos_token_id":1,"token_ids":[1,2],"token_rate":5,` +
		`"next_token":"x",` +
		`"authorization":"granted","dependencies":{"jsonwebtoken":"^9.0.0","cookie":"0.5.0"},"form":{"id":"bob","value":"x"},` +
		`"require_password":"yes",` +
		`"usage":{"tokens":{"prompt":12,"completion":[40,1.5]}}}`
	var want any
	require.NoError(t, json.Unmarshal([]byte(strings.Replace(plain, `{"secretName":"db"}`, `"[redacted]"`, 1)), &want))
	assert.Equal(t, want, documents(t, "output", nil, plain)[0]["json"])
}

// ordinary are lines as nginx and the usual loggers of Go, Java, Python and Node write them. N is a number, H hexadecimal digits, W a
// word, T a time.
var ordinary = map[string][]string{
	"nginx": {
		`T [error] 29#29: *N open() "/usr/share/nginx/html/W.png" failed (2: No such file or directory), client: 10.0.N.N, server: _, ` +
			`request: "GET /W.png HTTP/1.1", host: "shop.example.com"`,
		`T [warn] 29#29: *N an upstream response is buffered to a temporary file /tmp/proxy/1/00/N while reading upstream, client: 10.0.0.N, ` +
			`request: "GET /W/N HTTP/2.0", upstream: "http://10.0.0.N:8080/W/N", host: "web:8080"`,
		`10.0.0.N - - [25/Nov/2026:03:00:N +0000] "GET /api/v1/tokens/N HTTP/1.1" 200 N "-" "Mozilla/5.0 (X11; Linux x86_64; rv:N) Gecko/N ` +
			`Firefox/N"`,
		`{"remote_addr":"10.0.0.N","method":"GET","path":"/W/N","protocol":"HTTP/1.1","status":404,"bytes_sent":N,"request_time":0.N,` +
			`"host":"shop.example.com","referer":"https://www.example.org/W","user_agent":"Mozilla/5.0 (compatible; bingbot/2.0; ` +
			`+http://www.bing.com/bingbot.htm)"}`,
		`T [notice] 1#1: signal 17 (SIGCHLD) received from N`,
	},
	"go": {
		`T INFO server started addr=:N pid=N version=vN.N.N`,
		`time=T level=INFO msg="request done" method=GET path=/W/N status=200 duration=N.Nms bytes=N user=W trace_id=H`,
		`time=T level=WARN msg="token bucket empty" tokens=N max_tokens=N refill=N/s key=user:N`,
		`{"level":"info","caller":"W/W.go:N","msg":"cache hit","cache_key":"user:N","ttl":N.5,"primary_key":"id","tokens":N}`,
		`{"level":"error","msg":"lookup failed","error":"dial tcp 10.0.0.N:5432: connect: connection refused",` +
			`"stacktrace":"main.W\n\t/src/W.go:N"}`,
		`IN W.go:N] "Reconciled" controller="W" namespace="project" name="W-N" secretName="W-tls" token_ttl=N`,
		`http: TLS handshake error from 10.0.0.N:N: EOF`,
		`panic: runtime error: index out of range [N] with length N`,
		`--- PASS: TestW (0.Ns)`,
		`PASS: N FAIL: N`,
		`goroutine N [running]:`,
		`level=info msg="authorized" user=W scope="read write" credential_source=metadata`,
		`open /run/secrets/token: permission denied`,
		`open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory`,
		`stat /etc/passwd: ok, parse /etc/passwd: line N: bad, GET /password: 200 in Nms, reading token: EOF`,
		`level=info component=W module=password: ok fencing_token=N next_token=W`,
		`auth-token-worker: started N jobs, password-reset-mailer: sent to W, CSRF token: invalid, wrong password: attempt N of N`,
		`kubelet: MountVolume.SetUp failed for volume "token" : secret "W" not found, imagePullSecrets: [W], --authorization-mode=Node,RBAC ` +
			`--authorization-mode Node`,
		`pulled docker-pullable://registry/W@sha256:HHHH from docker://W@sha256:HHHH, authorization: RBAC`,
		`{"imagePullSecrets":[{"name":"W"}],"authorization":"RBAC","authorization_mode":"W","image":"docker://sha256:HHHH@x"}`,
		`token: invalid, try again; password: off, token: set. (password: ok) [token: valid] password=wrong&user=W password=null,user=W`,
		`invalid password: too short, password: incorrect for user W from 10.0.0.N, signature: valid, authorization=denied user=W`,
	},
	"java": {
		`T  INFO N --- [nio-8080-exec-N] o.s.s.web.DefaultSecurityFilterChain     : Will secure any request with ` +
			`[org.springframework.security.web.session.DisableEncodeUrlFilter@H]`,
		`T DEBUG N --- [main] c.e.auth.JwtTokenFilter                  : Set SecurityContextHolder to anonymous user=W`,
		`T WARN  [W-N] com.example.TokenService - Refreshed N entries in N ms`,
		`T ERROR [W-N] com.example.PasswordEncoder: strength N, algorithm bcrypt, rounds=N`,
		`java.lang.IllegalStateException: W` + "\n\tat com.example.W(W.java:N)\nCaused by: java.io.IOException: W\n\t... N more",
		`[GC (Allocation Failure) [PSYoungGen: NK->NK(NK)] NK->NK(NK), 0.N secs]`,
		`HikariPool-N - Pool stats (total=N, active=N, idle=N, waiting=N)`,
		`{"instant":{"epochSecond":N,"nanoOfSecond":N},"thread":"main","level":"INFO","loggerName":"com.example.CredentialsProvider",` +
			`"message":"W N","threadPriority":N}`,
		`Order{id=N, status=PAID, items=[Item{sku=W, quantity=N}], total=N.N}`,
		`Kafka: partition=W-N offset=N key=N value.size=N leader_epoch=N`,
		"java.lang.SecurityException: W\n\tat com.example.Password.check(Password.java:N)\n\tat com.example.Token.read(Token.kt:N)",
		`com.example.Token: started in N s, user W: Authorization: failed`,
		`cookies: N, secrets: N, passwords: N, tokens: N, tokenCount=N`,
	},
	"python": {
		`T - W.W - INFO - processed N rows in N.N s`,
		`INFO:     10.0.0.N:N - "POST /W/N HTTP/1.1" 201 Created`,
		`Traceback (most recent call last):` + "\n  File \"/app/W.py\", line N, in W\n    return d['W']\nKeyError: 'W'",
		`[T] {W.py:N} INFO - Marking task as SUCCESS. dag_id=W, task_id=W, run_duration=N.N`,
		`WARNING:django.request:Not Found: /W/N`,
		`{"asctime":"T","levelname":"INFO","name":"W","message":"W N","usage":{"prompt_tokens":N,"completion_tokens":N,"total_tokens":N}}`,
		`tokens: N/N token_rate=N eos_token=</s> pad_token=<pad> bos_token_id=N token_ids=[N, N] prompt tokens: N`,
		`has_password: yes require_password=yes no_password=yes cookie=yes secret_scanning=on`,
		`WWW-Authenticate: Basic realm="W" kafka://a:9092,b:9092/t@W Basic v1.N`,
		`tokenizer=W vocab=N max_tokens=N tokens_per_second=N.N stop=['W']`,
		`celery@W ready. pool=prefork concurrency=N`,
		`{'user': 'W', 'items': [N, N], 'ok': True, 'password_changed': False, 'monkey': 'W'}`,
		`GET http://10.0.0.N:8080/W/N -> 200 in N ms`,
	},
	"node": {
		`{"level":30,"pid":N,"hostname":"W-N","req":{"id":N,"method":"GET","url":"/W/N","remotePort":N},"res":{"statusCode":200},` +
			`"responseTime":N,"msg":"request completed"}`,
		`info: listening on http://0.0.0.0:N {"service":"W","timestamp":"T"}`,
		`GET /W/N 200 N.N ms - N`,
		`{ id: N, name: 'W', tags: [ 'W', 'W' ], pass: true, passed: N, keys: N }`,
		`Error: connect ECONNREFUSED 10.0.0.N:N` + "\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:N:N)",
		`(node:N) [DEP0N] DeprecationWarning: W is deprecated. Please use W instead.`,
		`SyntaxError: Unexpected token W in JSON at position N`,
		`PWD=/app OLDPWD=/ HOME=/home/W NODE_ENV=production PORT=N`,
		`{"type":"access","sort_key":"N","foreign_key":"W_id","key":"W/N.png","cookie_domain":"example.com","secret_name":"W",` +
			`"password_policy":"W","has_password":true}`,
		`a basic W, the Basic plan, Bearer authentication, BASIC N; mailto: W@example.com, https://example.com/@W, W@N`,
		`"jsonwebtoken": "^N.N.N", "cookie": "^0.N.N", cookie-parser: 1.N.N`,
		`Basic auth is off, bearer tokens are required, signature_version=N keyboard=W passenger=W compass=W`,
	},
}

// Text without secrets is unchanged: none of ten thousand ordinary lines loses a value.
func TestOrdinaryLinesKeepEveryValue(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 1))
	words := []string{"orders", "alpha", "Checkout", "worker", "item", "payment", "Invoice", "cart", "session", "author", "public", "assets",
		"task", "east"}
	var lines, templates []string
	for _, name := range []string{"nginx", "go", "java", "python", "node"} {
		templates = append(templates, ordinary[name]...)
	}
	// A letter stands for something where none that is meant stands beside it.
	fill := regexp.MustCompile(`(^|[^A-Za-z]|[0-9a-f]{16})([NHWT])([^A-Za-z_]|_id|Ks|ms|K|s|H+|$)`)
	for len(lines) < 10000 {
		line := templates[len(lines)%len(templates)]
		for fill.MatchString(line) {
			line = fill.ReplaceAllStringFunc(line, func(found string) string {
				m := fill.FindStringSubmatch(found)
				value := map[string]string{
					"N": fmt.Sprint(random.IntN(9000) + 1), "H": fmt.Sprintf("%016x", random.Uint64()), "W": words[random.IntN(len(words))],
					"T": fmt.Sprintf("2026-11-25 02:%02d:%02d", random.IntN(60), random.IntN(60)),
				}[m[2]]
				return m[1] + value + m[3]
			})
		}
		lines = append(lines, line)
	}
	lost := 0
	for i, got := range documents(t, "output", nil, lines...) {
		var want, have any = lines[i], got["message"]
		if strings.HasPrefix(lines[i], `{"`) {
			object := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(lines[i]), &object), lines[i])
			for _, name := range []string{"message", "msg", "asctime", "level"} {
				if _, is := object[name].(string); is {
					delete(object, name)
				}
			}
			want, have = any(object), got["json"]
			assert.NotContains(t, fmt.Sprint(got), "[redacted]", lines[i])
		}
		if !assert.Equal(t, want, have, lines[i]) {
			if lost++; lost > 10 {
				t.Fatal("and more")
			}
		}
	}
}

// No text holds up the logs: of what looks like the beginning of a secret a line may be full, and takes time in proportion to its length.
func TestNoTextTakesLong(t *testing.T) {
	t.Parallel()
	seeds := []string{
		"password", "password ", "password=", "password:", `password"`, `password=\`, `password="`, `password='`, "password=[", `password={"`,
		"--password", "<password ", "<password",
		"password, value", `"name":"password"`, "pass", "x-token", "token.", "[token]", "api ", "api key", `\`, `\"`, `"`, "'", " ", "\t", "\n",
		"=", ":", "://", "://a:", "://a:b", "://a:b@", "@",
		"bearer ", "basic a", "AKIA", "AKIAIOSFODNN7EXAMPL", "eyJ", "eyJaaaaaa.", "eyJaaaaaa.a.", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
		"-----END ", `request: "`, `request: "a?`, `"?`,
		"authorization: ", "cookie=a;", "Cookie", "%22", "%5D", "%3D", "a", "A1", "é", "\xff", "1", "1.", "{", "}", `{"a":`, `{"a":"`, "[",
		"null", "true,", "\\u0070",
		"password: |\n ", `password: |\n`, `token_count={"`, `token_count={\`, `volume "token" : `, "password=\"\"\"", "password=, ",
		"authorization=a ", "authorization=ok ", "password=ok",
		`password="ok`, "password=ok,", "password=ok)", "/password: a ", "/password: a", "-----BEGIN PRIVATE KEY-----a\n", "://sha256:",
	}
	const size = 1 << 17
	input := filterInput{Filter: settings(t, nil), Measure: true}
	add := func(parts ...any) {
		input.Messages = append(input.Messages, logText{Path: "/var/log/pod/web/output.log", Message: parts})
	}
	for _, seed := range seeds {
		long := []any{map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(strings.Repeat(seed, size/len(seed))))}}
		for _, before := range []string{"", "password=", `x token: "`, "token ", "<token ", "://a:"} {
			add(append([]any{before}, long...)...)
		}
		text, err := json.Marshal(strings.Repeat(seed, size/4/len(seed)))
		require.NoError(t, err)
		add(`{"a":`, string(text), `,"password":`, string(text), `,"list":[`, string(text), `]}`)
	}
	// Names, and numbers that take long to read.
	add(`{"a":`, []any{"1", size}, "}")
	add(`{"time":"`, []any{"1", size}, `","a":1.`, []any{"1", size}, "}")
	add("{", []any{`"tokens":1,`, size / 11}, `"a":1}`)
	add(`{"`, []any{"a.", size / 2}, `password":1}`)
	for _, name := range []any{"a", "aa1", "aB", "a_", "s", "tokens_"} {
		long := []any{name, size / 2 / len(name.(string))}
		for _, stem := range []string{"secret_", "password", "pass_", "s"} {
			add(stem, long, "1=x")
			add(`{"`+stem, long, `1":"x"}`)
		}
	}
	events, failure := filtered(t, input)
	require.Empty(t, failure)
	require.Len(t, events, len(input.Messages))
	for i, e := range events {
		assert.Less(t, e.Seconds, 4.0, "%.200s", fmt.Sprint(input.Messages[i].Message))
	}
}
