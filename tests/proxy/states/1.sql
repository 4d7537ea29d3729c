-- The database of a proxy agent of schema 1, as sqlite3's iterdump wrote it; never changed.
BEGIN TRANSACTION;
CREATE TABLE command (plug TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, what TEXT NOT NULL,
       not_after REAL NOT NULL, machine_boot TEXT NOT NULL, pid INTEGER, pid_started TEXT,
       PRIMARY KEY (plug, epoch, sequence)) WITHOUT ROWID;
INSERT INTO "command" VALUES('pdu-a 1',4,7,'off',100.0,'boot',42,'then');
INSERT INTO "command" VALUES('pdu-a 2',5,1,'off',120.0,'boot',NULL,NULL);
INSERT INTO "command" VALUES('pdu-z 1',-10,1,'off',90.0,'boot',NULL,NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('agent','proxy-5d081108c69a412aa271b734c219339e');
INSERT INTO "meta" VALUES('store','5f0c2f0e-8a0b-4c1a-9d55-2f1c6d1b7a01');
CREATE TABLE plug (plug TEXT PRIMARY KEY, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "plug" VALUES('pdu-a 1',4,7);
INSERT INTO "plug" VALUES('pdu-a 2',5,1);
INSERT INTO "plug" VALUES('pdu-b 1',3,2);
COMMIT;
PRAGMA user_version = 1;
