<?php
// Uploads a document and retrieves the journey, with JSON decoded to arrays.

const URL = 'http://127.0.0.1:8080/IDScanEnterpriseSvc';

function send(string $method, string $path, array $headers, string $body = ''): array
{
    $context = stream_context_create(['http' => [
        'method' => $method, 'header' => $headers, 'content' => $body, 'ignore_errors' => true,
    ]]);
    return json_decode(file_get_contents(URL . $path, false, $context), true, 512, JSON_THROW_ON_ERROR);
}

function logIn(string $area): string
{
    $form = ['grant_type' => 'password', 'username' => 'demo', 'password' => 'demo-password', 'area' => $area];
    $headers = ['Content-Type: application/x-www-form-urlencoded'];
    return 'Authorization: ' . send('POST', '/Token', $headers, http_build_query($form))['access_token'];
}

$document = ['InputImages' => [['Name' => 'WhiteImage', 'Data' => base64_encode('an image')]], 'Source' => 2];
$headers = [logIn('scanning'), 'Content-Type: application/json'];
$uploaded = send('POST', '/Journey/Upload', $headers, json_encode($document));
$investigation = [logIn('investigation')];
$journey = send('GET', '/Journey/Get?JourneyID=' . $uploaded['JourneyId'], $investigation);
$definitions = send('GET', '/JourneyDefinition/GetAll', $investigation);
echo $journey['HighLevelResult'], ' ', $journey['InputImages'] === $document['InputImages'] ? 'same' : 'other', ' ', count($definitions), "\n";
