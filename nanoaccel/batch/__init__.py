"""Files of requests in OpenAI's batch format, answered by the server's endpoints.

lines           a request, and its answer
request_file    reading and checking the file of requests
answer_file     the file of answers, which a second run goes on with
answering       runs requests, a bounded number at once
local           a whole batch on this machine
"""
