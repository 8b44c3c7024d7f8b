"""The protocol itself: headers, statuses, options, and what a client is told."""

from __future__ import annotations

import json

import pytest

from tests.deploy.embedded.clickhouse.conftest import Send


def test_ping_and_empty_get_answer_ok(ask: Send) -> None:
    """A server without a question says Ok."""
    assert ask(method="GET", path="/ping").text == "Ok.\n"
    assert ask(method="GET").text == "Ok.\n"


def test_post_without_query_is_an_error(ask: Send) -> None:
    """An empty statement is a syntax error, as in ClickHouse."""
    reply = ask("")
    assert (reply.status, reply.code) == (400, 62)


def test_answer_names_itself(ask: Send) -> None:
    """Clients read query ID, format, time zone, host and summary from headers."""
    reply = ask("SELECT number FROM numbers(5) FORMAT JSONEachRow", query_id="mine")
    headers = reply.headers
    assert headers["x-clickhouse-query-id"] == "mine"
    assert headers["x-clickhouse-format"] == "JSONEachRow"
    assert headers["content-type"] == "application/x-ndjson; charset=UTF-8"
    assert headers["x-clickhouse-timezone"]
    assert headers["x-clickhouse-server-display-name"]
    assert json.loads(headers["x-clickhouse-summary"])["read_rows"] == "5"
    assert ask("SELECT 1").headers["x-clickhouse-query-id"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
        ("CSV", "text/csv; charset=UTF-8; header=absent"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present"),
        ("JSON", "application/json; charset=UTF-8"),
        ("Native", "application/octet-stream"),
    ],
)
def test_content_type_follows_the_format(ask: Send, name: str, content_type: str) -> None:
    """The type of an answer is what ClickHouse gives for its format."""
    assert ask("SELECT 1", default_format=name).headers["content-type"] == content_type


def test_format_is_the_querys_then_the_headers_then_the_urls(ask: Send) -> None:
    """A FORMAT clause wins over the header, which wins over the URL."""
    header = {"X-ClickHouse-Format": "JSONEachRow"}
    assert ask("SELECT 1 AS a", headers=header, default_format="CSV").text == '{"a":1}\n'
    assert ask("SELECT 1 FORMAT TSV", headers=header).text == "1\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FROM nowhere", 404, 60),
        ("SELECT nothing", 404, 47),
        ("SELEC 1", 400, 62),
        ("bare_word", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT 1 FORMAT Nonsense", 404, 73),
        ("SELECT throwIf(1)", 500, 395),
        ("USE nowhere", 404, 81),
        ("INSERT INTO nowhere VALUES (1)", 404, 60),
        ("INSERT INTO nowhere FROM INFILE '/etc/passwd' FORMAT CSV", 404, 78),
        ("SELECT 1 INTO OUTFILE 'x'", 500, 358),
    ],
)
def test_errors_have_clickhouses_form(ask: Send, sql: str, status: int, code: int) -> None:
    """Status, header and body agree on what went wrong."""
    reply = ask(sql)
    assert (reply.status, reply.code) == (status, code)
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")
    assert reply.text.endswith(") (version 26.9.2.1)\n")


def test_unknown_setting_is_refused(ask: Send) -> None:
    """A misspelt setting is an error, not ignored."""
    assert ask("SELECT 1", max_treads="1").code == 115


def test_options_of_the_protocol_are_not_settings(ask: Send) -> None:
    """Clients send these with every query."""
    reply = ask(
        "SELECT 1",
        wait_end_of_query="1",
        buffer_size="1000",
        send_progress_in_http_headers="1",
        http_headers_progress_interval_ms="100",
        cancel_http_readonly_queries_on_client_close="1",
        enable_http_compression="0",
        compress="0",
        decompress="0",
        quota_key="x",
        client_protocol_version="54405",
    )
    assert reply.text == "1\n"


def test_get_does_not_write(ask: Send, table: str) -> None:
    """GET is read-only, for statements and for data, in sessions too."""
    insert = f"INSERT INTO {table} VALUES (1, 'x')"
    for sql in (insert, f"INSERT INTO {table} SELECT 1, 'x'", f"TRUNCATE TABLE {table}"):
        assert ask(method="GET", query=sql).code == 164
        assert ask(method="GET", query=sql, session_id="get").code == 164
    assert ask(method="GET", query=f"SELECT count() FROM {table}").text == "0\n"


def test_only_post_writes(ask: Send, table: str) -> None:
    """HEAD, which has no answer to see, does not write either."""
    ask(method="HEAD", query=f"INSERT INTO {table} SELECT 1, 'x'")
    assert ask(f"SELECT count() FROM {table}").text == "0\n"


def test_readonly_setting_holds(ask: Send, table: str) -> None:
    """A client that asks not to write does not, in a session either, and only for once."""
    sql = f"INSERT INTO {table} SELECT 1, 'x'"
    assert ask(sql, readonly="1").code == 164
    assert ask(sql, readonly="1", session_id="readonly").code == 164
    assert ask(sql, session_id="readonly").status == 200


def test_refused_user_is_told_so(ask: Send) -> None:
    """A wrong user is a 403 before anything runs."""
    reply = ask("SELECT 1", headers={"X-ClickHouse-User": "ada"})
    assert (reply.status, reply.code) == (403, 516)


def test_unknown_path_is_not_found(ask: Send) -> None:
    """Only the paths of the protocol are served."""
    assert ask(method="GET", path="/nothing").status == 404


def test_parameters_in_url_and_form(ask: Send) -> None:
    """Parameters bind from the URL and from form fields, escaped as TabSeparated."""
    assert ask("SELECT {x:String} = 'a\\tb'", param_x="a\\tb").text == "1\n"
    form = (
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {x:String}\r\n'
        b'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\nfrom a form\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert ask(form, headers=headers).text == "from a form\n"
    table = form.replace(b'name="param_x"', b'name="rows"; filename="rows"')
    assert ask(table, headers=headers).code == 48


def test_missing_parameter_is_an_error(ask: Send) -> None:
    """A placeholder without a value names itself."""
    reply = ask("SELECT {x:String}")
    assert reply.code == 456
    assert "`x`" in reply.text
