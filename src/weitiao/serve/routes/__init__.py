"""What can be asked, one file for each kind of request; each names its routes as the field does.

routes(service)  ->  fastapi.APIRouter
"""
