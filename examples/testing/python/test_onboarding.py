"""Tests a service in Python against Trimint, which `npx trimint` serves on a free port. Runs with unittest and pytest."""

import base64
import json
import os
import signal
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request


def request(url, data=None, headers={}):
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as reply:
        return reply.read().decode()


def start_face_check(token_url, bcid, secret="demo-secret"):
    credentials = base64.b64encode(f"demo-app:{secret}".encode()).decode()
    return request(f"{token_url}/token?id=demo-app&bcid={bcid}", headers={"Authorization": f"Basic {credentials}"})


def log_in_scanner(token_url):
    form = {"grant_type": "password", "username": "demo", "password": "demo-password", "area": "scanning"}
    return json.loads(request(f"{token_url}/idscanenterprisesvc/token", urllib.parse.urlencode(form).encode()))


def start_registration(token_url, username):
    body = json.dumps({"context": json.dumps({"username": username}), "op": "Reg"}).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/fido+uaf;charset=UTF-8"}
    return json.loads(request(f"{token_url}/nevisfido/token/create/registration", body, headers))


class OnboardingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # In its own process group, because npx does not reliably forward signals.
        command = ["npx", "--no-install", "trimint", "--port", "0"]
        cls.trimint = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        # The first line of the log contains the address.
        cls.url = json.loads(cls.trimint.stdout.readline())["url"]

    @classmethod
    def tearDownClass(cls):
        os.killpg(cls.trimint.pid, signal.SIGINT)
        cls.trimint.wait()
        cls.trimint.stdout.close()

    def test_starts_a_face_check_a_scanner_login_and_a_registration(self):
        self.assertRegex(start_face_check(self.url, "bws.112.12345"), r"^[\w-]+\.[\w-]+\.[\w-]+$")
        self.assertRegex(log_in_scanner(self.url)["access_token"], r"^[\w-]+\.[\w-]+\.[\w-]+$")
        self.assertRegex(start_registration(self.url, "jeff")["token"], r"^[0-9a-f-]{36}$")

    def test_reports_a_wrong_secret(self):
        with self.assertRaises(urllib.error.HTTPError) as raised:
            start_face_check(self.url, "bws.112.12345", secret="wrong")
        self.assertEqual(raised.exception.code, 401)


if __name__ == "__main__":
    unittest.main()
