<?php
// Enrolls and verifies as the vendor's PHP sample does: the bytes of an image, and JWT as the scheme.

const URL = 'http://127.0.0.1:8080/extension';
const IMAGE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

function send(string $method, string $path, string $authorization, string $body = ''): string
{
    $context = stream_context_create(['http' => [
        'method' => $method,
        'header' => ["Authorization: $authorization", 'Content-Type: application/octet-stream'],
        'content' => $body,
        'ignore_errors' => true,
    ]]);
    return file_get_contents(URL . $path, false, $context);
}

$app = 'Basic ' . base64_encode('demo-app:demo-secret');
foreach (['enroll', 'verify'] as $task) {
    $token = send('GET', '/token?' . http_build_query(['id' => 'demo-app', 'bcid' => 'bws.112.22', 'task' => $task]), $app);
    foreach ([1, 2] as $index) {
        echo send('POST', "/upload?tag=any&index=$index", "JWT $token", base64_decode(IMAGE)), "\n";
    }
    echo send('GET', "/$task", "JWT $token"), "\n";
}
echo send('GET', "/result?access_token=$token", $app), "\n";
