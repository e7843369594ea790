DROP TABLE prong_audit;
DROP FUNCTION prong_audit_keep();
