DROP TABLE prong_signing_keys;
