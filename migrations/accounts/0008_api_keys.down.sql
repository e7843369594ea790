DROP TABLE prong_api_keys;
