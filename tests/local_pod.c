/* SPDX-License-Identifier: MIT */
/* What a record must be, and what is presented of it: every row is written to disk and
 * asked for through the loaded plugin. */
#include "config.h"

#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define ROOT "'workspace_root':'/workspace/project'"
#define NAME "'worker_name':'w'"
#define RECORD(more) "{" NAME "," ROOT "," more "}"
#define SNAPSHOT(value) RECORD("'resolved_manifest_snapshot':" value)
#define ACTIVE(value) RECORD("'active':" value)
#define SESSION "'session_id':'0190f2b6-7c1a-7def-8abc-0123456789ab'"
#define TEN "0123456789"
#define EIGHTY TEN TEN TEN TEN TEN TEN TEN TEN

#define UNREADABLE "local_pod_metadata_unreadable"
#define INVALID "local_pod_metadata_invalid"
#define ROOT_MISSING "local_pod_workspace_root_missing"
#define NOT_VISIBLE "local_pod_workspace_not_visible"

/* Texts are written with ' in the place of "; they may hold any byte. */
#define TEXT(text) text, sizeof(text) - 1

struct broken_row {
	const char *name, *text;
	size_t len;
	const char *code;
};

static struct broken_row broken_rows[] = {
	/* Not UTF-8 */
	{ "a byte that no UTF-8 has", TEXT("{'worker_name':'w\xff'," ROOT "}"), UNREADABLE },
	{ "an overlong slash", TEXT("{'worker_name':'w\xc0\xaf'," ROOT "}"), UNREADABLE },
	{ "an encoded surrogate", TEXT("{'worker_name':'\xed\xa0\x80'," ROOT "}"), UNREADABLE },
	{ "a code point above U+10FFFF", TEXT("{'worker_name':'\xf4\x90\x80\x80'," ROOT "}"), UNREADABLE },
	{ "a continuation byte alone", TEXT("{'worker_name':'\x80'," ROOT "}"), UNREADABLE },
	{ "a sequence cut by the quote", TEXT("{'worker_name':'\xe2\x82'," ROOT "}"), UNREADABLE },
	{ "a sequence cut by the end", TEXT("{" NAME "," ROOT "}\xe2\x82"), UNREADABLE },
	{ "not UTF-8 before the object", TEXT("\xff{" NAME "," ROOT "}"), UNREADABLE },
	{ "not UTF-8 between keys", TEXT("{" NAME ",\xff" ROOT "}"), UNREADABLE },
	{ "not UTF-8 in a key", TEXT(RECORD("'\xfe':1")), UNREADABLE },
	{ "not UTF-8 in a value that nobody reads", TEXT(RECORD("'x':{'y':['\xfe']}")), UNREADABLE },
	{ "not UTF-8 behind a fault of the JSON", TEXT("{,'x':'\xff'}"), UNREADABLE },
	{ "not UTF-8 behind a required key of the wrong type", TEXT("{'worker_name':1,'x':'\xff'}"), UNREADABLE },
	{ "not UTF-8 in a record of another workspace",
	  TEXT("{" NAME ",'workspace_root':'/other','x':'\xff'}"), UNREADABLE },
	{ "UTF-16 with its byte order mark", TEXT("\xff\xfe{\0}\0"), UNREADABLE },

	/* Not JSON in the strict sense */
	{ "an empty file", TEXT(""), INVALID },
	{ "white space alone", TEXT(" \t\r\n"), INVALID },
	{ "a byte order mark", TEXT("\xef\xbb\xbf{" NAME "," ROOT "}"), INVALID },
	{ "a byte order mark inside", TEXT("{\xef\xbb\xbf" NAME "," ROOT "}"), INVALID },
	{ "a line comment", TEXT("{" NAME "," ROOT "} // end"), INVALID },
	{ "a comment inside", TEXT("{" NAME ",/* here */" ROOT "}"), INVALID },
	{ "a trailing comma in the record", TEXT("{" NAME "," ROOT ",}"), INVALID },
	{ "a trailing comma in an object", TEXT(RECORD("'x':{'y':1,}")), INVALID },
	{ "a trailing comma in a list", TEXT(RECORD("'x':[1,]")), INVALID },
	{ "a leading comma", TEXT("{," NAME "," ROOT "}"), INVALID },
	{ "two commas", TEXT("{" NAME ",," ROOT "}"), INVALID },
	{ "a list of a comma", TEXT(RECORD("'x':[,]")), INVALID },
	{ "no comma", TEXT("{" NAME " " ROOT "}"), INVALID },
	{ "no colon", TEXT(RECORD("'x' 1")), INVALID },
	{ "a key without a value", TEXT(RECORD("'x':")), INVALID },
	{ "a key without quotes", TEXT(RECORD("x:1")), INVALID },
	{ "a number as key", TEXT(RECORD("1:1")), INVALID },
	{ "an object that does not end", TEXT("{" NAME "," ROOT), INVALID },
	{ "an object that ends as a list", TEXT("{" NAME "," ROOT "]"), INVALID },
	{ "a string that does not end", TEXT("{" NAME "," ROOT ",'x':'y"), INVALID },
	{ "a leading zero", TEXT(RECORD("'x':01")), INVALID },
	{ "a leading zero behind a sign", TEXT(RECORD("'x':-01")), INVALID },
	{ "two zeros", TEXT(RECORD("'x':00")), INVALID },
	{ "a leading zero before a fraction", TEXT(RECORD("'x':01.5")), INVALID },
	{ "a plus sign", TEXT(RECORD("'x':+1")), INVALID },
	{ "a sign alone", TEXT(RECORD("'x':-")), INVALID },
	{ "a fraction without a whole part", TEXT(RECORD("'x':.5")), INVALID },
	{ "a point without a fraction", TEXT(RECORD("'x':1.")), INVALID },
	{ "a point without a fraction before an exponent", TEXT(RECORD("'x':1.e1")), INVALID },
	{ "an exponent without digits", TEXT(RECORD("'x':1e")), INVALID },
	{ "a signed exponent without digits", TEXT(RECORD("'x':1e+")), INVALID },
	{ "a hexadecimal number", TEXT(RECORD("'x':0x10")), INVALID },
	{ "NaN", TEXT(RECORD("'x':NaN")), INVALID },
	{ "Infinity", TEXT(RECORD("'x':Infinity")), INVALID },
	{ "-Infinity", TEXT(RECORD("'x':-Infinity")), INVALID },
	{ "1e999", TEXT(RECORD("'x':1e999")), INVALID },
	{ "-1e999", TEXT(RECORD("'x':-1e999")), INVALID },
	{ "1e999 in a list", TEXT(RECORD("'x':[0,1e999]")), INVALID },
	{ "1e999 in the snapshot", TEXT(SNAPSHOT("1e999")), INVALID },
	{ "1e999 as role", TEXT(SNAPSHOT("{'role':1e999}")), INVALID },
	{ "1e309", TEXT(RECORD("'x':1e309")), INVALID },
	{ "10e308", TEXT(RECORD("'x':10e308")), INVALID },
	{ "0.01e311", TEXT(RECORD("'x':0.01e311")), INVALID },
	{ "what rounds up beyond a double", TEXT(RECORD("'x':1.7976931348623159e308")), INVALID },
	{ "what rounds down beyond a double", TEXT(RECORD("'x':-1.7976931348623159e308")), INVALID },
	{ "an exponent beyond all integers", TEXT(RECORD("'x':1e99999999999999999999999")), INVALID },
	{ "True", TEXT(RECORD("'x':True")), INVALID },
	{ "a word cut short", TEXT(RECORD("'x':nul")), INVALID },
	{ "a word that goes on", TEXT(RECORD("'x':nulls")), INVALID },
	{ "a raw tab in a string", TEXT(RECORD("'x':'a\tb'")), INVALID },
	{ "a raw newline in a string", TEXT(RECORD("'x':'a\nb'")), INVALID },
	{ "a raw U+0000 in a string", TEXT(RECORD("'x':'a\0b'")), INVALID },
	{ "a raw U+001F in a key", TEXT(RECORD("'a\x1f':1")), INVALID },
	{ "a raw control character in the worker's name", TEXT("{'worker_name':'\x01'," ROOT "}"), INVALID },
	{ "U+0000 behind the record", TEXT("{" NAME "," ROOT "}\0"), INVALID },
	{ "a form feed as white space", TEXT("{\f" NAME "," ROOT "}"), INVALID },
	{ "a no-break space as white space", TEXT("{\xc2\xa0" NAME "," ROOT "}"), INVALID },
	{ "a line separator as white space", TEXT("{" NAME "," ROOT "}\xe2\x80\xa8"), INVALID },
	{ "a high surrogate alone", TEXT("{'worker_name':'\\ud800'," ROOT "}"), INVALID },
	{ "a low surrogate alone", TEXT("{'worker_name':'\\udc00'," ROOT "}"), INVALID },
	{ "surrogates in reverse", TEXT("{'worker_name':'\\udc00\\ud800'," ROOT "}"), INVALID },
	{ "two high surrogates", TEXT("{'worker_name':'\\ud800\\ud800'," ROOT "}"), INVALID },
	{ "a high surrogate before a character", TEXT("{'worker_name':'\\ud800x'," ROOT "}"), INVALID },
	{ "a high surrogate before another escape", TEXT("{'worker_name':'\\ud800\\n'," ROOT "}"), INVALID },
	{ "a lone surrogate in a key", TEXT(RECORD("'\\ud800':1")), INVALID },
	{ "a lone surrogate in a value that nobody reads", TEXT(RECORD("'x':['\\udfff']")), INVALID },
	{ "an escape of three digits", TEXT(RECORD("'x':'\\u123'")), INVALID },
	{ "an escape with a sign", TEXT(RECORD("'x':'\\u+123'")), INVALID },
	{ "an unknown escape", TEXT(RECORD("'x':'\\x41'")), INVALID },
	{ "an escape with U+0000", TEXT(RECORD("'x':'\\\0'")), INVALID },
	{ "a capital U escape", TEXT(RECORD("'x':'\\U0041'")), INVALID },
	{ "a word behind the record", TEXT("{" NAME "," ROOT "} x"), INVALID },
	{ "a comma behind the record", TEXT("{" NAME "," ROOT "},"), INVALID },
	{ "a second record", TEXT("{" NAME "," ROOT "}\n{" NAME "," ROOT "}"), INVALID },

	/* Not a record */
	{ "a list of a record", TEXT("[{" NAME "," ROOT "}]"), INVALID },
	{ "an empty list", TEXT("[]"), INVALID },
	{ "null", TEXT("null"), INVALID },
	{ "true", TEXT("true"), INVALID },
	{ "a number", TEXT("7"), INVALID },
	{ "a string", TEXT("'w'"), INVALID },
	{ "an empty object", TEXT("{}"), INVALID },
	{ "no worker_name", TEXT("{" ROOT "}"), INVALID },
	{ "worker_name in another case", TEXT("{'Worker_Name':'w'," ROOT "}"), INVALID },
	{ "worker_name in the snapshot alone",
	  TEXT("{" ROOT ",'resolved_manifest_snapshot':{'worker_name':'w'}}"), INVALID },
	{ "worker_name null", TEXT("{'worker_name':null," ROOT "}"), INVALID },
	{ "worker_name a number", TEXT("{'worker_name':1," ROOT "}"), INVALID },
	{ "worker_name a boolean", TEXT("{'worker_name':true," ROOT "}"), INVALID },
	{ "worker_name an object", TEXT("{'worker_name':{'name':'w'}," ROOT "}"), INVALID },
	{ "worker_name a list", TEXT("{'worker_name':['w']," ROOT "}"), INVALID },
	{ "worker_name twice", TEXT(RECORD("'worker_name':'w'")), INVALID },
	{ "worker_name twice, once in escapes", TEXT(RECORD("'\\u0077orker_n\\u0061me':'w'")), INVALID },
	{ "workspace_root a number", TEXT("{" NAME ",'workspace_root':1}"), INVALID },
	{ "workspace_root false", TEXT("{" NAME ",'workspace_root':false}"), INVALID },
	{ "workspace_root an object", TEXT("{" NAME ",'workspace_root':{}}"), INVALID },
	{ "workspace_root a list", TEXT("{" NAME ",'workspace_root':['/workspace/project']}"), INVALID },
	{ "workspace_root twice", TEXT("{" NAME "," ROOT "," ROOT "}"), INVALID },
	{ "workspace_root null and again", TEXT("{" NAME ",'workspace_root':null," ROOT "}"), INVALID },
	{ "resolved_manifest_snapshot twice", TEXT(SNAPSHOT("{},'resolved_manifest_snapshot':{}")), INVALID },
	{ "resolved_manifest_snapshot null and again", TEXT(SNAPSHOT("null,'resolved_manifest_snapshot':1")),
	  INVALID },
	{ "active a string", TEXT(ACTIVE("'yes'")), INVALID },
	{ "active a boolean", TEXT(ACTIVE("true")), INVALID },
	{ "active a number", TEXT(ACTIVE("1")), INVALID },
	{ "active a list", TEXT(ACTIVE("[]")), INVALID },
	{ "active twice", TEXT(ACTIVE("null,'active':null")), INVALID },
	{ "active without session_id", TEXT(ACTIVE("{}")), INVALID },
	{ "active with segment_id alone", TEXT(ACTIVE("{'segment_id':null}")), INVALID },
	{ "session_id null", TEXT(ACTIVE("{'session_id':null}")), INVALID },
	{ "session_id a number", TEXT(ACTIVE("{'session_id':1}")), INVALID },
	{ "session_id empty", TEXT(ACTIVE("{'session_id':''}")), INVALID },
	{ "session_id twice", TEXT(ACTIVE("{" SESSION "," SESSION "}")), INVALID },
	{ "segment_id twice", TEXT(ACTIVE("{" SESSION ",'segment_id':null,'segment_id':null}")), INVALID },
	{ "segment_id a number", TEXT(ACTIVE("{" SESSION ",'segment_id':1}")), INVALID },
	{ "segment_id empty", TEXT(ACTIVE("{" SESSION ",'segment_id':''}")), INVALID },
	{ "segment_id no UUID", TEXT(ACTIVE("{" SESSION ",'segment_id':'first'}")), INVALID },
	{ "a UUID of 31 digits", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "1'}")), INVALID },
	{ "a UUID of 33 digits", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "123'}")), INVALID },
	{ "a UUID of 64 digits", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN TEN TEN TEN "1234'}")), INVALID },
	{ "a UUID with a letter that is no digit", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "1g'}")), INVALID },
	{ "a UUID with a space behind", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "12 '}")), INVALID },
	{ "a UUID with one hyphen moved",
	  TEXT(ACTIVE("{'session_id':'0190f2b67-c1a-7def-8abc-0123456789ab'}")), INVALID },
	{ "a UUID with three hyphens", TEXT(ACTIVE("{'session_id':'0190f2b6-7c1a-7def-8abc0123456789ab'}")), INVALID },
	{ "a UUID with one hyphen", TEXT(ACTIVE("{'session_id':'0190f2b6-7c1a7def8abc0123456789ab'}")), INVALID },
	{ "a UUID with hyphens for digits",
	  TEXT(ACTIVE("{'session_id':'0190f2b6-7c1a-7def-8abc-0123-56789ab'}")), INVALID },
	{ "a UUID with digits for hyphens", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "123456'}")), INVALID },
	{ "a UUID with underscores", TEXT(ACTIVE("{'session_id':'0190f2b6_7c1a_7def_8abc_0123456789ab'}")), INVALID },
	{ "a UUID in braces", TEXT(ACTIVE("{'session_id':'{0190f2b6-7c1a-7def-8abc-0123456789ab}'}")), INVALID },
	{ "a UUID as URN", TEXT(ACTIVE("{'session_id':'urn:uuid:0190f2b6-7c1a-7def-8abc-0123456789ab'}")), INVALID },
	{ "a UUID of full-width digits", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "1\xef\xbc\x91'}")), INVALID },
	{ "spawned_children null", TEXT(RECORD("'spawned_children':null")), INVALID },
	{ "spawned_children an object", TEXT(RECORD("'spawned_children':{}")), INVALID },
	{ "spawned_children twice", TEXT(RECORD("'spawned_children':[],'spawned_children':[]")), INVALID },
	{ "a spawned child that is a string", TEXT(RECORD("'spawned_children':['w']")), INVALID },
	{ "a spawned child that is null", TEXT(RECORD("'spawned_children':[null]")), INVALID },
	{ "a spawned child without a name", TEXT(RECORD("'spawned_children':[{'socket_path':'s',"
		"'scope_delegated':[],'callback_address':'c'}]")), INVALID },
	{ "a spawned child without a socket", TEXT(RECORD("'spawned_children':[{'worker_name':'c',"
		"'scope_delegated':[],'callback_address':'c'}]")), INVALID },
	{ "a spawned child without scopes", TEXT(RECORD("'spawned_children':[{'worker_name':'c',"
		"'socket_path':'s','callback_address':'c'}]")), INVALID },
	{ "a spawned child without a callback", TEXT(RECORD("'spawned_children':[{'worker_name':'c',"
		"'socket_path':'s','scope_delegated':[]}]")), INVALID },
	{ "a spawned child with a key twice", TEXT(RECORD("'spawned_children':[{'worker_name':'c','worker_name':'c',"
		"'socket_path':'s','scope_delegated':[],'callback_address':'c'}]")), INVALID },
	{ "the second spawned child broken", TEXT(RECORD("'spawned_children':[{'worker_name':'c',"
		"'socket_path':'s','scope_delegated':[],'callback_address':'c'},{}]")), INVALID },
	{ "reclaimed_children null", TEXT(RECORD("'reclaimed_children':null")), INVALID },
	{ "reclaimed_children a string", TEXT(RECORD("'reclaimed_children':''")), INVALID },
	{ "reclaimed_children twice", TEXT(RECORD("'reclaimed_children':[],'reclaimed_children':[]")), INVALID },
	{ "a reclaimed child without a name", TEXT(RECORD("'reclaimed_children':[{'scope_delegated':[]}]")), INVALID },
	{ "a reclaimed child without scopes", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c'}]")), INVALID },
	{ "scopes null", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c','scope_delegated':null}]")), INVALID },
	{ "a scope that is a string", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':['t']}]")), INVALID },
	{ "a scope without a target", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':[{'permission':'read','recursive':true}]}]")), INVALID },
	{ "a scope without a permission", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':[{'target':'t','recursive':true}]}]")), INVALID },
	{ "a scope without recursive", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':[{'target':'t','permission':'read'}]}]")), INVALID },
	{ "a scope with recursive as a string", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':[{'target':'t','permission':'read','recursive':'true'}]}]")), INVALID },
	{ "a scope with target twice", TEXT(RECORD("'reclaimed_children':[{'worker_name':'c',"
		"'scope_delegated':[{'target':'t','target':'t','permission':'read','recursive':true}]}]")), INVALID },
	{ "peers null", TEXT(RECORD("'peers':null")), INVALID },
	{ "peers an object", TEXT(RECORD("'peers':{'worker_name':'p'}")), INVALID },
	{ "peers twice", TEXT(RECORD("'peers':[],'peers':[]")), INVALID },
	{ "a peer without a name", TEXT(RECORD("'peers':[{}]")), INVALID },
	{ "a peer whose name is null", TEXT(RECORD("'peers':[{'worker_name':null}]")), INVALID },
	{ "a peer that is a list", TEXT(RECORD("'peers':[['p']]")), INVALID },
	{ "a peer with its name twice", TEXT(RECORD("'peers':[{'worker_name':'p','worker_name':'p'}]")), INVALID },

	/* Of no workspace, and of another */
	{ "no workspace_root", TEXT("{" NAME "}"), ROOT_MISSING },
	{ "workspace_root null", TEXT("{" NAME ",'workspace_root':null}"), ROOT_MISSING },
	{ "workspace_root in the snapshot alone", TEXT("{" NAME ",'resolved_manifest_snapshot':{" ROOT "}}"),
	  ROOT_MISSING },
	{ "no workspace_root and another fault", TEXT("{'worker_name':1}"), INVALID },
	{ "another workspace and another fault", TEXT("{" NAME ",'workspace_root':'/other','peers':null}"), INVALID },
	{ "another workspace", TEXT("{" NAME ",'workspace_root':'/workspace/other'}"), NOT_VISIBLE },
	{ "an empty workspace_root", TEXT("{" NAME ",'workspace_root':''}"), NOT_VISIBLE },
	{ "the root of all", TEXT("{" NAME ",'workspace_root':'/'}"), NOT_VISIBLE },
	{ "a directory below", TEXT("{" NAME ",'workspace_root':'/workspace/project/sub'}"), NOT_VISIBLE },
	{ "the directory above", TEXT("{" NAME ",'workspace_root':'/workspace'}"), NOT_VISIBLE },
	{ "a root that begins alike", TEXT("{" NAME ",'workspace_root':'/workspace/project2'}"), NOT_VISIBLE },
	{ "another case", TEXT("{" NAME ",'workspace_root':'/Workspace/project'}"), NOT_VISIBLE },
	{ "two slashes inside", TEXT("{" NAME ",'workspace_root':'/workspace//project'}"), NOT_VISIBLE },
	{ "a dot at the end", TEXT("{" NAME ",'workspace_root':'/workspace/project/.'}"), NOT_VISIBLE },
	{ "a way round", TEXT("{" NAME ",'workspace_root':'/workspace/x/../project'}"), NOT_VISIBLE },
	{ "a relative root", TEXT("{" NAME ",'workspace_root':'workspace/project'}"), NOT_VISIBLE },
	{ "a space behind", TEXT("{" NAME ",'workspace_root':'/workspace/project '}"), NOT_VISIBLE },
	{ "U+0000 behind", TEXT("{" NAME ",'workspace_root':'/workspace/project\\u0000'}"), NOT_VISIBLE },
};

struct good_row {
	const char *name, *text;
	size_t len;
	const char *label;         /* NULL: w */
	const char *role, *profile; /* NULL: null */
	const char *status;        /* NULL: metadata_only */
};

/* What most records come out as; one that waits for its segment. */
#define PLAIN NULL, NULL, NULL, NULL
#define PENDING NULL, NULL, NULL, "active:pending_segment"

static struct good_row good_rows[] = {
	{ "the least that a record may be", TEXT("{" NAME "," ROOT "}"), PLAIN },
	{ "white space of all four kinds", TEXT("\r\n\t {\r\n\t " NAME "\n,\t" ROOT "\r\n} \t\r\n"), PLAIN },
	{ "the keys in another order", TEXT("{" ROOT "," NAME "}"), PLAIN },
	{ "unknown keys of every type", TEXT(RECORD("'a':null,'b':true,'c':-1.5e+3,'d':'x','e':[[],{}],'f':{'g':0},"
		"'':''")), PLAIN },
	{ "an unknown key twice", TEXT(RECORD("'a':1,'a':2")), PLAIN },
	{ "named keys twice below an unknown one", TEXT(RECORD("'x':{'worker_name':1,'worker_name':2,'active':3}")),
	  PLAIN },
	{ "keys in another case are others", TEXT(RECORD("'Active':1,'PEERS':2")), PLAIN },
	{ "a key in escapes", TEXT("{'\\u0077orker_name':'esc'," ROOT "}"), "esc", NULL, NULL, NULL },
	{ "the root in escapes", TEXT("{" NAME ",'workspace_root':'\\/workspace\\u002fproject'}"), PLAIN },
	{ "the root with slashes behind", TEXT("{" NAME ",'workspace_root':'/workspace/project///'}"), PLAIN },
	{ "the root with backslashes", TEXT("{" NAME ",'workspace_root':'\\\\workspace\\\\project\\\\/'}"), PLAIN },
	{ "numbers at the border of a double", TEXT(RECORD("'x':[1e308,1.7976931348623157e308,1.7976931348623158e308,"
		"-1.7976931348623158e308,0.17976931348623157e309,17976931348623157e292]")), PLAIN },
	{ "zeros with any exponent", TEXT(RECORD("'x':[0,-0,0.0,0e999,-0e999,0.000e+99999999999999999999,0E-7]")),
	  PLAIN },
	{ "numbers next to zero", TEXT(RECORD("'x':[1e-999,-5e-324,4.9e-99999999999999999999]")), PLAIN },
	{ "exponents with zeros in front", TEXT(RECORD("'x':[1e00000000000000000000000000000001,1E+05]")), PLAIN },
	{ "brackets in a string are no nesting", TEXT(RECORD("'x':'}]},{[ // /* \\' '")), PLAIN },

	/* The label */
	{ "an empty label", TEXT("{'worker_name':''," ROOT "}"), "", NULL, NULL, NULL },
	{ "a label of what is dropped", TEXT("{'worker_name':'/\\\\\\n\\u0000\x7f\xc2\x9f'," ROOT "}"),
	  "", NULL, NULL, NULL },
	{ "slashes dropped from a label", TEXT("{'worker_name':'/etc\\\\a\\/b'," ROOT "}"), "etcab", NULL, NULL, NULL },
	{ "C0, DEL and C1 dropped from a label, raw and escaped",
	  TEXT("{'worker_name':'a\\u0000b\\u001fc\x7f" "d\xc2\x80" "e\\u009ff\\tg\xc2\xa0h'," ROOT "}"),
	  "abcdefg\xc2\xa0h",
	  NULL, NULL, NULL },
	{ "a surrogate pair", TEXT("{'worker_name':'\\ud83d\\ude00\\uDBFF\\uDFFF'," ROOT "}"),
	  "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", NULL, NULL, NULL },
	{ "other scripts", TEXT("{'worker_name':'\xd0\x96\xe6\xbc\xa2\xf0\x9f\x98\x80'," ROOT "}"),
	  "\xd0\x96\xe6\xbc\xa2\xf0\x9f\x98\x80", NULL, NULL, NULL },
	{ "a label of 80 code points", TEXT("{'worker_name':'" EIGHTY "'," ROOT "}"), EIGHTY, NULL, NULL, NULL },
	{ "a label of 81 code points", TEXT("{'worker_name':'" EIGHTY "x'," ROOT "}"), EIGHTY, NULL, NULL, NULL },
	{ "what is dropped does not count for the 80", TEXT("{'worker_name':'////////" EIGHTY "x'," ROOT "}"), EIGHTY,
	  NULL, NULL, NULL },
	{ "code points count, not bytes", TEXT("{'worker_name':'\xf0\x9f\x98\x80" EIGHTY "'," ROOT "}"),
	  "\xf0\x9f\x98\x80" TEN TEN TEN TEN TEN TEN TEN "012345678", NULL, NULL, NULL },
	{ "a quote in a label", TEXT("{'worker_name':'a\\u0022b'," ROOT "}"), "a\"b", NULL, NULL, NULL },

	/* Activity */
	{ "active null", TEXT(ACTIVE("null")), PLAIN },
	{ "active without a segment", TEXT(ACTIVE("{" SESSION "}")), PENDING },
	{ "active with a segment of null", TEXT(ACTIVE("{" SESSION ",'segment_id':null}")), PENDING },
	{ "active with a segment", TEXT(ACTIVE("{'segment_id':'0190f2b6-7c1a-7def-8abc-0123456789ab'," SESSION "}")),
	  NULL, NULL, NULL, "active:segment" },
	{ "unknown keys of active, twice", TEXT(ACTIVE("{'x':1,'x':2," SESSION "}")), PENDING },
	{ "a plain UUID", TEXT(ACTIVE("{'session_id':'" TEN TEN TEN "12'}")), PENDING },
	{ "a UUID in capitals", TEXT(ACTIVE("{'session_id':'0190F2B6-7C1A-7DEF-8ABC-0123456789AB'}")), PENDING },
	{ "a UUID of both cases", TEXT(ACTIVE("{'session_id':'abcdefABCDEF0123456789aBcDeF0000'}")), PENDING },
	{ "the UUID of zeros", TEXT(ACTIVE("{'session_id':'00000000-0000-0000-0000-000000000000'}")), PENDING },
	{ "a UUID of no known version", TEXT(ACTIVE("{'session_id':'ffffffff-ffff-ffff-ffff-ffffffffffff'}")),
	  PENDING },
	{ "a UUID in escapes", TEXT(ACTIVE("{'session_id':'\\u0030190f2b6\\u002d7c1a-7def-8abc-0123456789ab'}")),
	  PENDING },

	/* Relatives */
	{ "empty lists of relatives", TEXT(RECORD("'spawned_children':[],'reclaimed_children':[],'peers':[]")), PLAIN },
	{ "full lists of relatives", TEXT(RECORD("'spawned_children':[{'worker_name':'c','socket_path':'s',"
		"'scope_delegated':[{'target':'t','permission':'write','recursive':false}],'callback_address':'a'}],"
		"'reclaimed_children':[{'worker_name':'c','scope_delegated':[{'recursive':true,'x':[],"
		"'permission':'read','target':'t'}]}],'peers':[{'worker_name':'p'},{'worker_name':'q','x':null}]")),
	  PLAIN },

	/* Role and profile */
	{ "a snapshot of null", TEXT(SNAPSHOT("null")), PLAIN },
	{ "a snapshot that is a string", TEXT(SNAPSHOT("'role'")), PLAIN },
	{ "a snapshot that is a number", TEXT(SNAPSHOT("1")), PLAIN },
	{ "a snapshot that is a list", TEXT(SNAPSHOT("[{'role':'r','profile':'p'}]")), PLAIN },
	{ "an empty snapshot", TEXT(SNAPSHOT("{}")), PLAIN },
	{ "role and profile of the record itself are not meant", TEXT(RECORD("'role':'r','profile':'p'")), PLAIN },
	{ "role and profile below another key are not meant", TEXT(SNAPSHOT("{'x':{'role':'r','profile':'p'}}")),
	  PLAIN },
	{ "role and profile_selector", TEXT(SNAPSHOT("{'role':'coder','profile_selector':'builtin:coder'}")),
	  NULL, "coder", "builtin:coder", NULL },
	{ "the second keys where the first are missing", TEXT(SNAPSHOT("{'role_claim':{'role':'r'},'profile':'p'}")),
	  NULL, "r", "p", NULL },
	{ "the first keys before the second", TEXT(SNAPSHOT("{'role_claim':{'role':'b'},'profile':'b','role':'a',"
		"'profile_selector':'a'}")), NULL, "a", "a", NULL },
	{ "objects with a name", TEXT(SNAPSHOT("{'role':{'x':1,'name':'r'},'profile_selector':{'name':'p'}}")),
	  NULL, "r", "p", NULL },
	{ "objects with a name behind the second keys", TEXT(SNAPSHOT("{'role_claim':{'role':{'name':'r'}},"
		"'profile':{'name':'p'}}")), NULL, "r", "p", NULL },
	{ "null masks the second key", TEXT(SNAPSHOT("{'role':null,'role_claim':{'role':'r'},'profile_selector':null,"
		"'profile':'p'}")), PLAIN },
	{ "numbers and lists mask the second key", TEXT(SNAPSHOT("{'role':1,'role_claim':{'role':'r'},"
		"'profile_selector':['p'],'profile':'p'}")), PLAIN },
	{ "an object without a name masks the second key", TEXT(SNAPSHOT("{'role':{},'role_claim':{'role':'r'},"
		"'profile_selector':{'Name':'x'},'profile':'p'}")), PLAIN },
	{ "an empty string masks the second key", TEXT(SNAPSHOT("{'role':'','role_claim':{'role':'r'},"
		"'profile_selector':'','profile':'p'}")), PLAIN },
	{ "names that are no strings", TEXT(SNAPSHOT("{'role':{'name':{'name':'r'}},'profile':{'name':null}}")),
	  PLAIN },
	{ "a role_claim that is a string", TEXT(SNAPSHOT("{'role_claim':'r'}")), PLAIN },
	{ "a role_claim that is null", TEXT(SNAPSHOT("{'role_claim':null}")), PLAIN },
	{ "a role_claim with a name and no role", TEXT(SNAPSHOT("{'role_claim':{'name':'r'}}")), PLAIN },
	{ "a role_claim whose role is a number", TEXT(SNAPSHOT("{'role_claim':{'role':1}}")), PLAIN },
	{ "what is dropped from a role leaves null", TEXT(SNAPSHOT("{'role':'//\\n\\u0085','profile':'\\\\'}")),
	  PLAIN },
	{ "role and profile go through the hint filter",
	  TEXT(SNAPSHOT("{'role':'a/b\\tc','profile':{'name':'\\\\p\x7f'}}")),
	  NULL, "abc", "p", NULL },
	{ "role and profile end after 80 code points",
	  TEXT(SNAPSHOT("{'role':'" EIGHTY "x','profile':'/" EIGHTY "y'}")),
	  NULL, EIGHTY, EIGHTY, NULL },
	{ "white space in a role stays", TEXT(SNAPSHOT("{'role':' ','profile':' p '}")), NULL, " ", " p ", NULL },
	{ "a key in escapes in the snapshot", TEXT(SNAPSHOT("{'r\\u006fle':'r','profile':{'n\\u0061me':'p'}}")),
	  NULL, "r", "p", NULL },

	/* The last of equal keys of the snapshot counts */
	{ "the last role", TEXT(SNAPSHOT("{'role':'a','role':'b','profile':'a','profile':'b'}")),
	  NULL, "b", "b", NULL },
	{ "the last role, of another type", TEXT(SNAPSHOT("{'role':'a','role':1,'profile_selector':'a',"
		"'profile_selector':null}")), PLAIN },
	{ "the last name", TEXT(SNAPSHOT("{'role':{'name':'a','name':'b'},'profile':{'name':'a','name':1}}")),
	  NULL, "b", NULL, NULL },
	{ "the last object, which has no name", TEXT(SNAPSHOT("{'role':{'name':'a'},'role':{}}")), PLAIN },
	{ "the last role_claim, which has no role", TEXT(SNAPSHOT("{'role_claim':{'role':'a'},'role_claim':{}}")),
	  PLAIN },
	{ "the last role_claim, which is no object", TEXT(SNAPSHOT("{'role_claim':{'role':'a'},'role_claim':1}")),
	  PLAIN },
	{ "the last role of a role_claim", TEXT(SNAPSHOT("{'role_claim':{'role':'a','role':'b'}}")),
	  NULL, "b", NULL, NULL },
	{ "the record's own keys twice in the snapshot", TEXT(SNAPSHOT("{'worker_name':1,'worker_name':2,'active':1,"
		"'active':2}")), PLAIN },
};

/* A record with something many times over: before, n of unit, middle, n of end, after. */
static struct repeat_row {
	const char *name, *before, *unit, *middle, *end, *after;
	unsigned n;
	const char *code; /* NULL: a worker */
} repeat_rows[] = {
	{ "128 levels of lists", "'x':", "[", "", "]", "", 127, INVALID },
	{ "128 levels of objects", "'x':", "{'y':", "1", "}", "", 127, INVALID },
	{ "128 levels in the snapshot", "'resolved_manifest_snapshot':", "[", "", "]", "", 127, INVALID },
	{ "128 levels in the role", "'resolved_manifest_snapshot':{'role':{'x':", "[", "", "]", "}}", 125, INVALID },
	{ "128 levels in the claimed role", "'resolved_manifest_snapshot':{'role_claim':{'role':{'name':", "[", "",
	  "]", "}}}", 124, INVALID },
	{ "10,000 levels of lists", "'x':", "[", "", "]", "", 10000, INVALID },
	{ "a million levels that do not end", "'x':", "[", "", "", "", 1000000, INVALID },
	{ "a million levels of objects that do not end", "'x':", "{'y':", "", "", "", 1000000, INVALID },
	{ "a whole number of 400 digits", "'x':", "7", "", "", "", 400, INVALID },
	{ "a negative one of 400 digits", "'x':-", "7", "", "", "", 400, INVALID },
	{ "a whole number of 310 digits", "'x':", "1", "", "", "", 310, INVALID },
	{ "309 nines", "'x':", "9", "", "", "", 309, INVALID },
	{ "400 digits and a fraction", "'x':", "7", ".", "7", "", 400, INVALID },
	{ "127 levels of lists", "'x':", "[", "", "]", "", 126, NULL },
	{ "127 levels of objects", "'x':", "{'y':", "1", "}", "", 126, NULL },
	{ "127 levels in the snapshot", "'resolved_manifest_snapshot':", "[", "", "]", "", 126, NULL },
	{ "127 levels in the role", "'resolved_manifest_snapshot':{'role':{'x':", "[", "", "]", "}}", 124, NULL },
	{ "127 levels side by side with more lists", "'x':[", "[],", "0],'y':", "[],'z':", "0", 0, NULL },
	{ "10,000 lists side by side", "'x':[", "[[]],", "0]", "", "", 10000, NULL },
	{ "brackets in a string", "'x':'", "[", "'", "", "", 10000, NULL },
	{ "a whole number of 309 digits", "'x':", "1", "", "", "", 309, NULL },
	{ "a fraction of 400 digits", "'x':0.", "7", "", "", "", 400, NULL },
	{ "400 zeros taken back by the exponent", "'x':1", "0", "e-400", "", "", 400, NULL },
	{ "400 zeros behind the point, made up for by the exponent", "'x':0.", "0", "1e600", "", "", 400, NULL },
	{ "an exponent of 400 zeros", "'x':1e", "0", "1", "", "", 400, NULL },
	{ "10,000 unknown keys that are one", "", "'x':1,", "'y':1", "", "", 10000, NULL },
};

enum {
	N_BROKEN = sizeof broken_rows / sizeof *broken_rows,
	N_GOOD = sizeof good_rows / sizeof *good_rows,
	N_REPEAT = sizeof repeat_rows / sizeof *repeat_rows,
};

/* ---- One record, asked for ---- */

struct scene {
	char *dir;
	struct host host;
	cJSON *list;
	char *list_text, *found; /* the answers as they were written */
};

static void scene_start(struct scene *scene, const char *text, size_t len)
{
	CLEANUP_FREE char *quoted = malloc(len + 1);

	assert_non_null(quoted);
	for (size_t i = 0; i < len; i++)
		quoted[i] = text[i] == '\'' ? '"' : text[i];
	scene->dir = scratch_new();
	scratch_write(scene->dir, "pods/w/metadata.json", quoted, len);
	host_start(&scene->host, &(struct host_setup){ .adapters = "local-pod", .data_dir = scene->dir });
	scene->list_text = strdup(host_ask(&scene->host, "{'op':'list_workers'}"));
	/* local-worker-, the name, and what printf w | sha256sum begins with. */
	scene->found = strdup(host_ask(&scene->host, "{'op':'worker','runtime_id':'local-worker-runtime',"
						     "'worker_id':'local-worker-w-50e721e49c013f00'}"));
	assert_non_null(scene->list_text);
	assert_non_null(scene->found);
	assert_null(strstr(scene->list_text, scene->dir));
	assert_null(strstr(scene->list_text, "/workspace"));
	assert_null(strstr(scene->found, scene->dir));
	assert_null(strstr(scene->found, "/workspace"));
	scene->list = cJSON_ParseWithOpts(scene->list_text, NULL, true);
	assert_non_null(scene->list);
}

static void scene_stop(struct scene *scene)
{
	host_stop(&scene->host);
	cJSON_Delete(scene->list);
	free(scene->list_text);
	free(scene->found);
	scratch_remove(scene->dir);
}

static void assert_broken(const struct scene *scene, const char *code)
{
	assert_int_equal(cJSON_GetArraySize(json_at(scene->list, "items")), 0);
	assert_int_equal(cJSON_GetArraySize(json_at(scene->list, "diagnostics")), 1);
	assert_string_equal(json_string_at(scene->list, "diagnostics.0.code"), code);
	assert_string_equal(json_string_at(scene->list, "diagnostics.0.severity"),
			    strcmp(code, NOT_VISIBLE) == 0 ? "info" : "warning");
	assert_json_text(scene->found, "{'error':{'kind':'unknown_worker','runtime_id':'local-worker-runtime',"
				       "'worker_id':'local-worker-w-50e721e49c013f00'}}");
}

static void assert_string_or_null(const cJSON *json, const char *path, const char *expected)
{
	if (expected)
		assert_string_equal(json_string_at(json, path), expected);
	else
		assert_true(cJSON_IsNull(json_at(json, path)));
}

static void assert_presented(const struct scene *scene, const struct good_row *row)
{
	const char *status = row->status ? row->status : "metadata_only";

	assert_int_equal(cJSON_GetArraySize(json_at(scene->list, "diagnostics")), 0);
	assert_int_equal(cJSON_GetArraySize(json_at(scene->list, "items")), 1);
	assert_string_equal(json_string_at(scene->list, "items.0.worker_id"), "local-worker-w-50e721e49c013f00");
	assert_string_equal(json_string_at(scene->list, "items.0.implementation.display_hint"), "w");
	assert_string_equal(json_string_at(scene->list, "items.0.label"), row->label ? row->label : "w");
	assert_string_or_null(scene->list, "items.0.role", row->role);
	assert_string_or_null(scene->list, "items.0.profile", row->profile);
	assert_string_equal(json_string_at(scene->list, "items.0.status"), status);
	assert_string_equal(json_string_at(scene->list, "items.0.state"), row->status ? "active" : "metadata_only");
	/* The look-up is the item of the list, byte for byte. */
	assert_int_equal(strncmp(scene->list_text, "{\"items\":[", 10), 0);
	assert_int_equal(strncmp(scene->list_text + 10, scene->found, strlen(scene->found)), 0);
	assert_string_equal(scene->list_text + 10 + strlen(scene->found), "],\"diagnostics\":[]}");
}

/* ---- The tests ---- */

static void test_broken(void **state)
{
	const struct broken_row *row = *state;
	struct scene scene;

	scene_start(&scene, row->text, row->len);
	assert_broken(&scene, row->code);
	scene_stop(&scene);
}

static void test_good(void **state)
{
	const struct good_row *row = *state;
	struct scene scene;

	scene_start(&scene, row->text, row->len);
	assert_presented(&scene, row);
	scene_stop(&scene);
}

static void test_repeat(void **state)
{
	const struct repeat_row *row = *state;
	static const struct good_row plain = { .label = "w" };
	CLEANUP_FREE char *text = NULL;
	struct scene scene;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	assert_non_null(file);
	fprintf(file, "{" NAME "," ROOT ",%s", row->before);
	for (unsigned i = 0; i < row->n; i++)
		fputs(row->unit, file);
	fputs(row->middle, file);
	for (unsigned i = 0; i < row->n; i++)
		fputs(row->end, file);
	fprintf(file, "%s}", row->after);
	assert_int_equal(fclose(file), 0);
	scene_start(&scene, text, len);
	if (row->code)
		assert_broken(&scene, row->code);
	else
		assert_presented(&scene, &plain);
	scene_stop(&scene);
}

int main(void)
{
	struct CMUnitTest tests[N_BROKEN + N_REPEAT + N_GOOD];
	size_t n = 0;

	for (size_t i = 0; i < N_BROKEN; i++)
		tests[n++] = (struct CMUnitTest){ broken_rows[i].name, test_broken, NULL, NULL, &broken_rows[i] };
	for (size_t i = 0; i < N_REPEAT; i++)
		tests[n++] = (struct CMUnitTest){ repeat_rows[i].name, test_repeat, NULL, NULL, &repeat_rows[i] };
	for (size_t i = 0; i < N_GOOD; i++)
		tests[n++] = (struct CMUnitTest){ good_rows[i].name, test_good, NULL, NULL, &good_rows[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
