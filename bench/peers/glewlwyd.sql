-- glewlwyd's database: Debian's schema, a plugin that signs HS256 for the client credentials grant, and one client. The
-- password grant would hash the password for each token.

.read /usr/share/dbconfig-common/data/glewlwyd/install/sqlite3

INSERT INTO g_plugin_module_instance (gpmi_module, gpmi_name, gpmi_parameters) VALUES ('oauth2-glewlwyd', 'oauth2', '{
  "url": "oauth2",
  "jwt-type": "sha",
  "jwt-key-size": "256",
  "key": "a secret of thirty-two characters",
  "access-token-duration": 600,
  "refresh-token-duration": 600,
  "code-duration": 600,
  "refresh-token-rolling": true,
  "auth-type-code-enabled": false,
  "auth-type-implicit-enabled": false,
  "auth-type-password-enabled": false,
  "auth-type-client-enabled": true,
  "auth-type-refresh-enabled": false
}');
INSERT INTO g_client (gc_id, gc_client_id, gc_confidential) VALUES (1, 'shop', 1);
INSERT INTO g_client_property (gc_id, gcp_name, gcp_value) VALUES
  (1, 'client_secret', 'the secret of the shop'),
  (1, 'authorization_type', 'client_credentials');
INSERT INTO g_client_scope (gcs_id, gcs_name) VALUES (1, 'scanning');
INSERT INTO g_client_scope_client (gc_id, gcs_id) VALUES (1, 1);
