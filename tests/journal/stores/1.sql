-- A store of schema 1 as sqlite3's iterdump wrote it, with the defaults left out of the bodies; never changed.
BEGIN TRANSACTION;
CREATE TABLE fleet (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL, body TEXT NOT NULL);
INSERT INTO "fleet" VALUES(1,1,'{"is_disarmed":false,"pauses":[],"draws":[],"requests":[],"is_bus_lost":false}');
CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, holder TEXT NOT NULL,
            until REAL NOT NULL, anchor_boot_id TEXT, anchor_boottime REAL, anchor_steady REAL);
INSERT INTO "lease" VALUES(1,7,'fenced-a',0.0,'b0b0',1.0,2.0);
CREATE TABLE operations (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            host TEXT NOT NULL, state TEXT NOT NULL, action TEXT NOT NULL, cause TEXT NOT NULL, started REAL NOT NULL,
            ended REAL, body TEXT NOT NULL);
INSERT INTO "operations" VALUES(1,'4-1','node-1','running','off','request',100.0,NULL,'{"id":"4-1","host":"node-1","action":"off","cause":"request","by":"operator","reason":"a test","started":100.0,"deadline":400.0}');
CREATE TABLE outbox (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, at REAL NOT NULL,
            host TEXT, topic TEXT NOT NULL, payload BLOB NOT NULL, is_retained INTEGER NOT NULL,
            is_event INTEGER NOT NULL, is_delivered INTEGER NOT NULL, operation TEXT);
INSERT INTO "outbox" VALUES(1,'m-1',100.0,'node-1','fenced/v1/s/event/node-1',X'007B7DFF',0,1,0,'4-1');
CREATE TABLE records (sequence INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at REAL NOT NULL, host TEXT,
            operation TEXT, body TEXT NOT NULL);
INSERT INTO "records" VALUES(1,1,100.0,'node-1','4-1','{"operation":"4-1","device":"pdu-a","number":1,"outcome":"off","error":null,"is_end_known":true,"wait_until":0.0,"kind":"step_ended"}');
INSERT INTO "records" VALUES(2,1,101.0,'node-1','4-1','{"operation":"4-1","device":"pdu-a","number":2,"outcome":"off","error":null,"is_end_known":true,"wait_until":0.0,"kind":"step_ended"}');
CREATE TABLE schema (number INTEGER PRIMARY KEY, applied REAL NOT NULL);
INSERT INTO "schema" VALUES(1,1.0);
CREATE TABLE snapshots (host TEXT PRIMARY KEY, sequence INTEGER NOT NULL, body TEXT NOT NULL);
INSERT INTO "snapshots" VALUES('node-1',1,'{"name":"node-1","since":5.0}');
CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, created REAL NOT NULL);
INSERT INTO "store" VALUES(1,'0b8e4a52-6a5c-4b1f-9c1e-3d2f5a7b9c10',1.0);
CREATE INDEX records_of_host ON records (host, sequence);
CREATE INDEX records_by_time ON records (at);
CREATE INDEX operations_of_host ON operations (host, number);
CREATE INDEX operations_by_state ON operations (state, number);
CREATE INDEX operations_by_end ON operations (ended) WHERE ended IS NOT NULL;
CREATE INDEX outbox_pending ON outbox (sequence) WHERE is_delivered = 0;
CREATE INDEX outbox_delivered ON outbox (at) WHERE is_delivered = 1;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('operations',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
