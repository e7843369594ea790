// Fastify as its guide shows it: GET /json, with DATABASE_URL GET /row/:id through pg's pool, and with JWT_SECRET GET /own
// for those whose token @fastify/jwt verifies, with its defaults (HS256, no cache).
const fastify = require('fastify')({ logger: false, genReqId: () => require('crypto').randomUUID() })

const json = { schema: { response: { 200: { type: 'object', properties: { message: { type: 'string' } } } } } }
fastify.get('/json', json, async () => ({ message: 'hello' }))

if (process.env.JWT_SECRET) {
  fastify.register(require('@fastify/jwt'), { secret: process.env.JWT_SECRET })
  fastify.get('/own', { ...json, onRequest: (request) => request.jwtVerify() }, async () => ({ message: 'hello' }))
}

if (process.env.DATABASE_URL) {
  const { Pool } = require('pg')
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.DATABASE_CONNECTIONS) })
  const row = {
    schema: {
      params: { type: 'object', properties: { id: { type: 'integer' } } },
      response: {
        200: { type: 'object', properties: { id: { type: 'integer' }, title: { type: 'string' }, body: { type: 'string' } } }
      }
    }
  }
  fastify.get('/row/:id', row, async (request, reply) => {
    const result = await pool.query({ name: 'row', text: 'SELECT id, title, body FROM bench WHERE id = $1', values: [request.params.id] })
    if (result.rows.length === 0) return reply.code(404).send({ message: 'not found' })
    return result.rows[0]
  })
}

fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
